"""A model and a board -> a firmware project: hand-written C, generated tables, a Makefile.

`project` makes it in memory, the same bytes for the same input; `write` puts it into a folder.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
import tempfile
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mcu_asc import __version__, compiler, config, paths
from mcu_asc.compiler import tflm
from mcu_asc.compiler.expand import expand, expansion, formed
from mcu_asc.compiler.sparsity import sparsity
from mcu_asc.decide import alive_level
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Board, FirmwareProject, FrontEndConfig, MemoryPlan, Model, Quant, Sparsity

MANIFEST = "project.json"
FORMAT = "mcu-asc firmware project"

LAYOUTS = ("baremetal", "arduino")

_ENGINES = ("aot", "tflm")
_HOST_FLAVOUR = "ref"  # of firmware/kernels; the board's follows from its core
_FAST = ("asc_frontend.c", "asc_magnitude.c")  # what takes the time, beside the kernels
# C around loops in assembly, compiled for size: some 1 KiB less, 0.1 % more cycles.
_DRIVERS = frozenset(
    {
        "asc_depthwise_dsp.c",
        "asc_depthwise_many_dsp.c",
        "asc_dw3_dsp.c",
        "asc_dwk_dsp.c",
        "asc_gather_apart.c",
        "asc_gather_odd.c",
        "asc_gather_three.c",
        "asc_pointwise_dsp.c",
        "asc_window_conv_dsp.c",
        "asc_winograd_conv_dsp.c",
        "model_dsp.c",
    }
)
# What `check` adds before anything is linked; tests hold both against linked firmware.
_APP_RAM_BYTES = 3_200  # asc_app, the port's buffers, alignment
_CODE_BYTES = 27_000
_LIVE_CODE_BYTES = 3_500  # more, where there is a microphone
_LIVE = ("asc_live.c", "asc_text.c", "asc_text.h")  # only where there is a microphone
_MIC_BLOCK = 256  # samples: asc_port.h
_MIC_BLOCK_BYTES = 2 * _MIC_BLOCK + 8
_MIC_LEAST = 8  # blocks, 128 ms: a few rows and what the line takes
_MIC_CYCLES_PER_MAC = 2.0  # at the slowest; what is missing all the same is dropped, counted and said
_LABEL_CHARS = 80  # of a label in the device's own text
_C_BYTES = {  # of generated arrays
    **{"int8_t": 1, "uint8_t": 1, "int16_t": 2, "int32_t": 4, "uint32_t": 4},
    **{"asc_channel": 12, "asc_dw3_channel": 40},
    **{"asc_piece": 32, "asc_band": 12},
}
_C_ARRAY = re.compile(rb"^static const (\w+) \w+\[(\d+)\]", re.MULTILINE)
_C_FIELD = re.compile(rb"^    \.\w+ = ", re.MULTILINE)  # of generated parameters: a word each, at least


def project(
    model: Model,
    board: Board,
    engine: str = "aot",
    layout: str = "baremetal",
    library: tflm.Library | None = None,
    flash_limit: int | None = None,
) -> FirmwareProject:
    """The whole project as files; nothing is read but our own sources, nothing written.

    engine  "aot": the compiled network; "tflm": TFLite Micro's interpreter out of the `library` given.
    layout  "baremetal": a Makefile, our own start-up and drivers; "arduino": a sketch for the board's core.
    flash_limit  as `fitted` takes it
    Both build the same application for this machine, `make host`.
    Raises UsageError: a front end that does not match the network's input, a board without a port or core,
    a model or layout that the engine does not take.  ToolMissing: no interpreter to measure the arena with.
    """
    if engine not in _ENGINES:
        raise UsageError(f"unknown engine '{engine}'", "known: " + ", ".join(_ENGINES))
    room(board, layout)
    if engine == "tflm" and layout != "baremetal":
        raise UsageError(
            "the engine tflm comes in the format baremetal only", "use --engine aot for a sketch"
        )
    if engine == "tflm" and flash_limit is not None:
        raise UsageError(
            "the engine tflm has one form of the weights", "leave --flash-limit out, or use --engine aot"
        )
    model = deployed(model, engine)
    if engine == "aot":
        model = fitted(model, board, layout, flash_limit)
    fe = _front_end(model)
    graph, plan = model.graph, memory_plan(model, board, layout)
    flavour = plan.flavour
    host_plan = compiler.plan(graph, _HOST_FLAVOUR)
    counts = compiler.counts(graph)

    name = _plain(model.card.name if model.card else graph.name)
    context: dict[str, Any] = {
        "version": __version__,
        "name": name,
        "board": board,
        "layout": layout,
        "fe": fe,
        "labels": model.card.labels if model.card else (),
        "arena_bytes": plan.arena_bytes,
        "host_arena_bytes": host_plan.arena_bytes,
        "layers": len(counts),
        "alive_level": alive_level(model.card.decision) if model.card else 0,
        "hop_rows": model.card.decision.hop_rows if model.card else 1,
        "mic_blocks": mic_blocks(model, board, layout),
        "log2_step": _log2_step(graph.tensors[graph.outputs[0]].quant),
        "even": _even(model, graph.tensors[graph.outputs[0]].quant),
        "weight_bytes": sum(c.param_bytes for c in counts),
        "input_bytes": sum(graph.tensors[i].bytes for i in graph.inputs),
        "linker_script": f"{board.soc}.ld",
        "fingerprint": model.fingerprint,
    }
    if engine == "tflm":
        assert library is not None
        place = tflm.arena(model)
        context |= {"tflm": library, "arena_bytes": place.bytes, "host_arena_bytes": place.bytes}
        generated = host_generated = tflm.emit(model, place)
        constants = len(model.content)
    else:
        context["tflm"] = None
        generated = compiler.emit(model, plan, flavour)
        host_generated = compiler.emit(model, host_plan, _HOST_FLAVOUR)
        constants = _array_bytes(generated)
    board_only = {*generated, *_kernel_names(model, flavour, engine)}
    host_only = {*host_generated, *_kernel_names(model, _HOST_FLAVOUR, engine)}
    portable = _folder(paths.firmware_dir() / "asc")
    if not context["mic_blocks"]:
        portable = {n: c for n, c in portable.items() if n not in _LIVE}
    src = {
        **portable,
        **_folder(paths.firmware_dir() / "ports"),
        **_kernels(board_only | host_only),
        **generated,
        **host_generated,
        "project.c": _render("project.c.j2", context),
        "asc_project.h": _render("asc_project.h.j2", context),
        "asc_board.h": _render("asc_board.h.j2", context),
    }
    if fe:
        from mcu_asc.audio.frontend import c_source

        src["front_end.c"] = c_source(fe).encode()
    groups = {
        "fast": {*_FAST, *(board_only & host_only)},
        "board_fast": board_only - host_only - _DRIVERS,
        "board_small": board_only & _DRIVERS,
        "host_fast": host_only - board_only,
    }
    arrange = {"baremetal": _baremetal, "arduino": _sketch}[layout]
    files = arrange(src, groups, context)
    files["model.tflite"] = model.content
    if (paths.firmware_dir() / "templates" / f"{board.soc}.repl.j2").is_file():
        files[f"{board.soc}.repl"] = _render(f"{board.soc}.repl.j2", context)
        files["renode.resc"] = _render("renode.resc.j2", context)

    manifest = {
        "format": FORMAT,
        "layout": layout,
        "version": __version__,
        "name": name,
        "board": board.name,
        "target": dataclasses.asdict(board),
        "clock_hz": board.clock_hz,
        "fingerprint": model.fingerprint.hex(),
        "card": json.loads(config.card_to_json(model.card)) if model.card else None,
        "layers": [{"index": i, "name": c.name, "op": c.kind, "macs": c.macs} for i, c in enumerate(counts)],
        "weight_bytes": context["weight_bytes"],
        "table_bytes": _table_bytes(fe) + constants - context["weight_bytes"],
        "engine": engine,
        "sparsity": dataclasses.asdict(sparsity(graph, flavour) if engine == "aot" else Sparsity()),
        "arena_bytes": context["arena_bytes"],
        "input_bytes": context["input_bytes"],
        "files": sorted([*files, MANIFEST]),
    }
    files[MANIFEST] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return FirmwareProject(name, board.name, dict(sorted(files.items())), manifest)


Sources = Mapping[str, bytes]  # by name
Groups = Mapping[str, Collection[str]]  # names of what is compiled apart from the rest


def _baremetal(src: Sources, groups: Groups, context: Mapping[str, Any]) -> dict[str, bytes]:
    """src/ for both machines, a folder for each one's port, a linker script, a Makefile."""
    board, ports = context["board"], paths.firmware_dir() / "ports"
    port, host = f"port_{board.soc}", "port_host"
    files = {f"src/{n}": content for n, content in src.items()}
    files |= {f"{port}/{n}": c for kind in ("cortex-m", board.soc) for n, c in _folder(ports / kind).items()}
    files |= {f"{host}/{n}": c for n, c in _folder(ports / "host").items()}
    files[context["linker_script"]] = _render("link.ld.j2", context)
    return files | _makefile(files, groups, context, "src", port, host)


def _sketch(src: Sources, groups: Groups, context: Mapping[str, Any]) -> dict[str, bytes]:
    """NAME/ is the sketch, as Arduino wants it; host/ and the Makefile are the program for this machine."""
    ports = paths.firmware_dir() / "ports"
    name = re.sub(r"^[^A-Za-z0-9_]+", "", context["name"])[:63]  # what Arduino takes for a sketch's
    host_only = {*groups["host_fast"], "main.c"}
    hot = {*groups["fast"], *groups["board_fast"]}
    sketch = {n: c for n, c in src.items() if n not in host_only} | _folder(ports / "arduino")
    files = {
        f"{name}/src/{n}": _FASTER + c if n in hot and n.endswith(".c") else c for n, c in sketch.items()
    }
    files |= {f"host/{n}": c for n, c in {**src, **_folder(ports / "host")}.items() if n in host_only}
    files |= {f"host/{n}": c for n, c in _folder(ports / "host").items()}
    flash_room, ram_room = room(context["board"], "arduino")
    context = {**context, "sketch": name, "flash_room": flash_room, "ram_room": ram_room}
    files[f"{name}/{name}.ino"] = _render("sketch.ino.j2", context)
    files[f"{name}/sketch.yaml"] = _render("sketch.yaml.j2", context)
    if context["board"].arduino.platformio:
        files[f"{name}/platformio.ini"] = _render("platformio.ini.j2", context)
    return files | _makefile(files, groups, context, f"{name}/src", "", "host")


# Arduino's cores compile with -Os; gcc 7 takes this for all that follows in a file.
_FASTER = b'#include "asc_faster.h"\n'


def _makefile(
    files: Sources, groups: Groups, context: Mapping[str, Any], src: str, port: str, host: str
) -> dict[str, bytes]:
    """Makefile and README.md for files that lie in the folders `src`, `port` ("" = none) and `host`."""
    sources = sorted(f for f in files if f.endswith((".c", ".S")))
    fast = {key: [f for f in sources if Path(f).name in names] for key, names in groups.items()}
    hot = {f for names in fast.values() for f in names}
    rest = [f for f in sources if f not in hot]
    lists: dict[str, Any] = fast | {
        "src": src,
        "rest": [f for f in rest if Path(f).parent.as_posix() == src],
        "port": [f for f in rest if port and Path(f).parent.as_posix() == port],
        "host": [f for f in rest if Path(f).parent.as_posix() == host],
    }
    return {
        name: _render(template, {**context, **lists})
        for name, template in _TEMPLATES[context["layout"]].items()
    }


_TEMPLATES = {
    "baremetal": {"Makefile": "Makefile.j2", "README.md": "README.md.j2"},
    "arduino": {"Makefile": "Makefile.arduino.j2", "README.md": "README.arduino.j2"},
}


def room(board: Board, layout: str = "baremetal") -> tuple[int, int]:
    """Bytes of flash and of RAM that a project may take on this board.

    Raises UsageError: an unknown layout, a board without a port or without an Arduino core.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"unknown format '{layout}'", "known: " + ", ".join(LAYOUTS))
    if layout == "arduino":
        if board.arduino is None:
            raise UsageError(
                f"board {board.name}: no Arduino core is known for it", "add [arduino] to its TOML file"
            )
        return board.app_flash_bytes - board.arduino.flash_bytes, board.ram_bytes - board.arduino.ram_bytes
    ports = paths.firmware_dir() / "ports"
    known = sorted(p.parent.name for p in ports.glob("*/port.c"))
    if board.soc not in known:
        raise UsageError(f"board {board.name}: no port for '{board.soc}'", "ports: " + ", ".join(known))
    return board.app_flash_bytes, board.ram_bytes


_PDM_HZ = 16_000  # the one rate of our own driver, firmware/ports/nrf52840/pdm.c; Arduino's library has more


def live_refusal(fe: FrontEndConfig | None, board: Board, layout: str = "baremetal") -> str | None:
    """Why the board cannot listen by itself, as a sentence; None where it can."""
    if fe is None:
        return "the model has no front end, it takes tensors"
    if not board.mic_rates_hz:
        return f"{board.title} has no microphone: clips can be streamed to it"
    given = [r for r in board.mic_rates_hz if layout != "baremetal" or r == _PDM_HZ]
    if given and fe.sample_rate_hz not in given:
        rates = ", ".join(f"{r:,} Hz" for r in given)
        return (
            f"the front end wants {fe.sample_rate_hz:,} Hz, the microphone of {board.title} gives {rates}: "
            "clips can be streamed to it"
        )
    if layout == "baremetal" and not (paths.firmware_dir() / "ports" / board.soc / "pdm.c").exists():
        return f"the port for {board.soc} does not know {board.title}'s microphone: a sketch may"
    return None


def mic_blocks(model: Model, board: Board, layout: str = "baremetal") -> int:
    """Blocks of the microphone's ring, long enough for the longest layer; 0 where nothing can be heard.

    Between two layers the front end empties the ring, so no more than a layer has to fit.
    """
    fe = _front_end(model)
    if fe is None or live_refusal(fe, board, layout):
        return 0
    longest = max((c.macs for c in compiler.counts(model.graph)), default=0)
    samples = longest * _MIC_CYCLES_PER_MAC / board.clock_hz * fe.sample_rate_hz
    return _MIC_LEAST + math.ceil(samples / _MIC_BLOCK)


def ram_bytes(model: Model, plan: MemoryPlan, board: Board, layout: str = "baremetal") -> int:
    """Static RAM and (not in a sketch) stack of the firmware, an estimate that linking confirms."""
    return plan.arena_bytes + _ram_beside_arena(model, board, layout)


def deployed(model: Model, engine: str = "aot") -> Model:
    """`model` as the firmware runs it, its graph made smaller; TFLM takes the file as it is."""
    return compiler.simplify(model) if engine == "aot" else model


def memory_plan(model: Model, board: Board, layout: str = "baremetal") -> MemoryPlan:
    """The arena as the firmware for `board` lays it out: within the RAM that is left, if that can be."""
    left = room(board, layout)[1] - _ram_beside_arena(model, board, layout)
    return compiler.plan(model.graph, compiler.flavour_of(board.cpu), ram_limit=left)


def _ram_beside_arena(model: Model, board: Board, layout: str) -> int:
    fe = _front_end(model)
    stream = 0
    if fe:
        from mcu_asc.audio.frontend import tables
        from mcu_asc.native import FrontEnd

        stream = FrontEnd(tables(fe)).state_bytes + fe.rows * (fe.values + 1)
        stream += mic_blocks(model, board, layout) * _MIC_BLOCK_BYTES
    stack = board.stack_bytes if layout == "baremetal" else 0
    return stream + 4 * len(model.graph.ops) + _APP_RAM_BYTES + stack


@lru_cache(maxsize=4)
def fitted(model: Model, board: Board, layout: str = "baremetal", flash_limit: int | None = None) -> Model:
    """The model with the form of each layer's weights chosen, so that the firmware fits.

    flash_limit  bytes of flash, where it is less than what the board has room for

    Weights are expanded as far as the estimate of `rough_flash_bytes` stays within the limit; where even int8
    does not, all are int8.  Raises UsageError like `room`.
    """
    limit, _ = room(board, layout)
    limit = limit if flash_limit is None else min(limit, flash_limit)
    flavour, waits = compiler.flavour_of(board.cpu), board.flash_wait_states
    if not waits and rough_flash_bytes(model, board) <= limit:
        return model
    small = dataclasses.replace(model, graph=formed(model.graph))
    spare = limit - rough_flash_bytes(small, board)
    while spare > 0:
        found = dataclasses.replace(model, graph=expand(model.graph, flavour, spare, waits))
        if rough_flash_bytes(found, board) <= limit:
            return found
        # The plan differs with the kernels' scratch, and with it the tables of bands: one layer less.
        spare = expansion(found.graph, flavour, waits).bytes - 1
    return small


@lru_cache(maxsize=4)
def rough_flash_bytes(model: Model, board: Board) -> int:
    """Flash of the firmware before it is compiled: weights and tables exactly, code roughly."""
    plan = memory_plan(model, board)
    generated = compiler.emit(model, plan, plan.flavour)
    code = _CODE_BYTES + _LIVE_CODE_BYTES * bool(mic_blocks(model, board))
    fields = 4 * sum(len(_C_FIELD.findall(text)) for text in generated.values())
    return _array_bytes(generated) + fields + _table_bytes(_front_end(model)) + code


def load_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a project on disk; UsageError when there is none of ours."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise UsageError(f"{directory} is not a firmware project", "make one with mcu-asc build") from e
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UsageError(f"{directory / MANIFEST} is not a manifest of ours", "make one with mcu-asc build")
    return manifest


def write(what: FirmwareProject, directory: Path) -> None:
    """Put the project into `directory`: a new or empty one, or one that holds a project of ours.

    A new folder appears whole or not at all.  In an older project's, each file is replaced whole, files that
    are the same keep their time (so that make builds only what changed), and files that the new project no
    longer has are removed.  Raises UsageError for a folder with other people's files, or one that cannot be
    written.
    """
    try:
        if not directory.exists():
            _create(what.files, directory)
        elif not directory.is_dir():
            raise UsageError(f"{directory} is a file", "choose a folder with --out")
        elif (directory / MANIFEST).exists() or not any(directory.iterdir()):
            _update(what.files, directory)
        else:
            raise UsageError(
                f"{directory} holds files that are no firmware project", "choose another folder with --out"
            )
    except OSError as e:
        raise UsageError(
            f"cannot write {e.filename or directory}: {e.strerror}", "choose another --out"
        ) from e


def _create(files: Mapping[str, bytes], directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        for name, content in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        temporary.chmod(0o755)  # mkdtemp's are private
        temporary.rename(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _update(files: Mapping[str, bytes], directory: Path) -> None:
    old = load_manifest(directory).get("files", []) if (directory / MANIFEST).exists() else []
    for name in set(old) - set(files):
        if not Path(name).is_absolute() and ".." not in Path(name).parts:
            (directory / name).unlink(missing_ok=True)
    # The manifest is the mark that a folder is ours: it must be there before anything else is.
    for name in sorted(files, key=lambda n: (n != MANIFEST, n)):
        path = directory / name
        if path.is_file() and path.read_bytes() == files[name]:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_bytes(files[name])
        temporary.replace(path)


def _front_end(model: Model) -> FrontEndConfig | None:
    """The card's front end, checked against the network's input."""
    if model.card is None:
        return None
    fe = model.card.front_end
    shape = model.graph.tensors[model.graph.inputs[0]].shape
    taken = model.graph.tensors[model.graph.inputs[0]].bytes
    if len(model.graph.inputs) != 1 or fe.rows * fe.values != taken:
        raise UsageError(
            f"the front end gives {fe.rows} rows of {fe.bands} bands, the network takes {shape}",
            "export the model with the front end that it was trained with",
        )
    return fe


def _log2_step(quant: Quant | None) -> int:
    """One step of the output as log2 of odds, Q16."""
    scale = quant.scale[0] if quant else 0.0
    return min(round(65536 * scale / math.log(2)), 0x7FFFFFFF)


def _even(model: Model, quant: Quant | None) -> str:
    """The output at even odds where several labels may hold, as C."""
    several = model.card is not None and model.card.multi_label
    return str(quant.zero_point[0]) if several and quant else "ASC_ONE_LABEL"


def _c_text(text: str) -> str:
    """A C string literal of text that stands in JSON as it is."""
    return json.dumps(json.dumps(text[:_LABEL_CHARS])[1:-1]).replace("?", "\\?")  # no trigraphs


def _table_bytes(fe: FrontEndConfig | None) -> int:
    """Flash of the front end's tables."""
    if fe is None:
        return 0
    from mcu_asc.audio.frontend import table_bytes

    return table_bytes(fe)


def _array_bytes(generated: Mapping[str, bytes]) -> int:
    """Flash of the arrays in the compiler's files: weights, biases, multipliers, look-up tables."""
    arrays = (a for text in generated.values() for a in _C_ARRAY.findall(text))
    return sum(_C_BYTES[kind.decode()] * int(count) for kind, count in arrays)


def _folder(path: Path) -> dict[str, bytes]:
    """C and assembly files and headers of one folder, by name."""
    return {p.name: p.read_bytes() for p in sorted(path.iterdir()) if p.suffix in (".c", ".cpp", ".h", ".S")}


def _kernel_names(model: Model, flavour: str, engine: str) -> set[str]:
    """The kernels of network and front end; another engine has the network's in its library."""
    from mcu_asc.audio.frontend import kernel_sources
    from mcu_asc.compiler.lower import base

    network = compiler.kernel_sources(model.graph, flavour) if engine == "aot" else ()
    return {*network, *(p.name for p in kernel_sources(base(flavour)))}


def _kernels(names: Collection[str]) -> dict[str, bytes]:
    """Those of the named files that are kernels, and the headers beside them."""
    folders = [p for p in sorted((paths.firmware_dir() / "kernels").iterdir()) if p.is_dir()]
    used = [f for f in folders if any((f / name).is_file() for name in names)]
    found = [p for f in used for p in sorted(f.iterdir()) if p.name in names or p.suffix == ".h"]
    return {p.name: p.read_bytes() for p in found}


def _plain(name: str) -> str:
    """A name that does in a path and in a Makefile."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "model"


def _render(template: str, context: Mapping[str, Any]) -> bytes:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(paths.firmware_dir() / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["c_text"] = _c_text
    return environment.get_template(template).render(**context).encode()
