"""The library in QEMU's Cortex-M4, which faults where the other emulator cannot: alignment, FPU."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import qemu_m4
import vectors
from test_frontend import GOLDEN, golden_config, hostile

from mcu_asc.audio.frontend import extract
from mcu_asc.audio.presets import PRESETS, preset
from mcu_asc.nouns import FrontEndConfig

pytestmark = qemu_m4.needs_qemu

_RANDOM = 2  # inputs a case, beside the extremes


@pytest.fixture(scope="module")
def expected() -> dict[str, list[qemu_m4.Vector]]:
    """What the TFLM interpreter answers."""
    runtime = pytest.importorskip("tflite_micro").runtime
    found: dict[str, list[qemu_m4.Vector]] = {}
    for name, content in vectors.CASES.items():
        oracle = runtime.Interpreter.from_bytes(content, arena_size=1 << 18)
        shape = oracle.get_input_details(0)["shape"]
        found[name] = []
        for x in vectors.inputs(int(np.prod(shape)), _RANDOM):
            oracle.set_input(x.reshape(shape), 0)
            oracle.invoke()
            found[name].append((x, oracle.get_output(0).reshape(-1)))
    return found


def of_host(cfg: FrontEndConfig) -> qemu_m4.FrontEnd:
    """A configuration with what this machine makes of the samples by it."""
    f = extract(hostile(), cfg)
    log2, q, level = (zlib.crc32(a.tobytes()) for a in (f.log2_q9, f.q, f.level_q9))
    return cfg, (log2, q, level)


@pytest.mark.parametrize("flavour", ["ref", "dsp"])
def test_golden_vectors(expected: dict[str, list[qemu_m4.Vector]], tmp_path: Path, flavour: str) -> None:
    front_ends = {f"fe_{shape[0]}": (golden_config(*shape), crc) for shape, crc in GOLDEN.items()}
    front_ends |= {f"fe_{name.replace('-', '_')}": of_host(preset(name)) for name in PRESETS}
    elf = qemu_m4.lane(tmp_path, flavour, vectors.CASES, expected.__getitem__, front_ends, hostile())
    code, output = qemu_m4.run(elf)
    total = 4 * sum(map(len, expected.values())) + 4 * len(front_ends)
    assert output.splitlines()[-1] == f"checked {total} failed 0", output[-3000:]
    assert code == 0


def test_a_wrong_byte_is_seen(expected: dict[str, list[qemu_m4.Vector]], tmp_path: Path) -> None:
    """The lane can fail."""
    name = "conv_1x1"
    wrong = [(x, y.copy()) for x, y in expected[name]]
    wrong[3][1][-1] ^= 1
    shape, crc = next(iter(GOLDEN.items()))
    front_ends = {"fe_256": (golden_config(*shape), (crc[0], crc[1] ^ 1, crc[2]))}
    elf = qemu_m4.lane(tmp_path, "dsp", {name: vectors.CASES[name]}, lambda _: wrong, front_ends, hostile())
    code, output = qemu_m4.run(elf)
    assert output.splitlines() == [
        f"failed: {name}: vector 3",
        "failed: fe_256: CRC 1",
        f"checked {4 * len(wrong) + 4} failed 2",
    ]
    assert code == 1


# ---- what it sees that the other emulator does not -----------------------------------------------------

_UNALIGNED, _NO_COPROCESSOR = 1 << 24, 1 << 19  # in CFSR


@pytest.mark.parametrize(
    ("trap", "offset", "flags", "cause"),
    [
        pytest.param(0, 1, (), 0, id="unaligned LDR is allowed"),
        pytest.param(1, 0, (), 0, id="LDRD"),
        pytest.param(1, 2, (), _UNALIGNED, id="unaligned LDRD"),
        pytest.param(2, 2, (), _UNALIGNED, id="unaligned LDM"),
        pytest.param(3, 0, (), 0, id="VLDR"),
        pytest.param(3, 2, (), _UNALIGNED, id="unaligned VLDR"),
        pytest.param(4, 2, (), _UNALIGNED, id="unaligned STRD"),
        pytest.param(5, 2, (), _UNALIGNED, id="unaligned STM"),
        pytest.param(3, 0, ("-DFPU_OFF",), _NO_COPROCESSOR, id="FPU off"),
    ],
)
def test_faults(tmp_path: Path, trap: int, offset: int, flags: tuple[str, ...], cause: int) -> None:
    source = qemu_m4.HERE / "trap.c"
    elf = qemu_m4.link(
        tmp_path / "trap.elf", "-Og", f"-DTRAP={trap}", f"-DTRAP_OFFSET={offset}", *flags, source
    )
    code, output = qemu_m4.run(elf)
    if cause:
        found = re.fullmatch(r"fault: pc \d+, cfsr (\d+)\n", output)
        assert found, output
        assert int(found[1]) == cause
        assert code == 3
    else:
        assert (code, output) == (0, "passed\n")
