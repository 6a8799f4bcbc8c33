"""Strict TOML and JSON -> frozen dataclasses.

An unknown key, a missing one or a wrong type is a UsageError that names the file, the place and what
would be right.  `strict` serves boards, budgets and recipes alike.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mcu_asc import paths
from mcu_asc.errors import UsageError
from mcu_asc.nouns import Board, Budget, ModelCard

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables; UsageError when it is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UsageError(f"cannot read {path}: {e.strerror}", "check the path") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UsageError(f"{path} is not valid TOML: {e}", "mend the line it names") from e


def strict(path: Path, cls: type[T]) -> T:
    """Read TOML file `path` into the dataclass `cls`, refusing unknown keys and wrong types."""
    return build(cls, read_toml(path), str(path))


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A dataclass from a mapping, nested dataclasses included; `where` names the place in messages.

    A dataclass may raise ValueError from __post_init__ for values out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    if unknown := [k for k in values if k not in fields]:
        raise UsageError(f"{where}: unknown key '{unknown[0]}'", "known here: " + ", ".join(sorted(fields)))
    for f in fields.values():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and f.name not in values:
            raise UsageError(f"{where}: key '{f.name}' is missing", f"add it, a {_name(hints[f.name])}")
    ready = {k: _convert(hints[k], v, f"{where}: {k}") for k, v in values.items()}
    try:
        return cls(**ready)
    except ValueError as e:
        raise UsageError(f"{where}: {e}", "mend the value") from e


def _name(hint: Any) -> str:
    return str(getattr(hint, "__name__", hint))


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type; TOML's int serves for float, its array for a tuple."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise UsageError(f"{where} must be a table", f"write [{where.rsplit(' ', 1)[-1]}]")
        return build(hint, value, where)
    if origin in (typing.Union, types.UnionType):
        options = [a for a in typing.get_args(hint) if a is not type(None)]
        return None if value is None else _convert(options[0], value, where)
    if origin is tuple and isinstance(value, list | tuple):
        item, *rest = typing.get_args(hint)
        if rest != [...] and len(value) != 1 + len(rest):
            raise UsageError(f"{where} must have {1 + len(rest)} entries, not {len(value)}", "mend the list")
        return tuple(_convert(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UsageError(f"{where} must be a {_name(hint)}, not {value!r}", "mend the value")


def _known(folder: Path) -> dict[str, Path]:
    return {p.stem: p for p in sorted(folder.glob("*.toml"), key=lambda p: p.stem)}


def board_names() -> tuple[str, ...]:
    return tuple(_known(paths.boards_dir()))


def budget_names() -> tuple[str, ...]:
    return tuple(_known(paths.budgets_dir()))


def _find(kind: str, name: str, folder: Path) -> Path:
    known = _known(folder)
    if name in known:
        return known[name]
    if name.endswith(".toml"):
        return Path(name)
    raise UsageError(f"unknown {kind} '{name}'", f"known: {', '.join(known)}, or the path of a .toml file")


_PINS = ("uart_tx", "uart_rx", "led", "pdm_clk", "pdm_din", "pdm_power")
_PIN_NAMES = {  # family of SoCs: how its data sheet names pins, pins in a port, an example
    "nrf": (re.compile(r"P([01])\.(\d\d)"), 32, "P1.03"),
    "stm32": (re.compile(r"P([A-I])(\d{1,2})"), 16, "PA3"),
    "rp2040": (re.compile(r"(GP)(\d{1,2})"), 30, "GP3"),
}


def pin(text: Any, soc: str, where: str) -> int:
    """A pin's name as a number, port * pins in a port + number: "P1.03" -> 35; numbers stay.

    Raises UsageError for what is no pin of this SoC.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    form, size, example = next(
        (v for k, v in _PIN_NAMES.items() if soc.startswith(k)), (re.compile("(?!)()()"), 0, "3")
    )
    found = form.fullmatch(str(text))
    if not found or int(found[2]) >= size:
        raise UsageError(f"{where} must be a pin, not {text!r}", f'write it as "{example}"')
    port = found[1]
    return (0 if port == "GP" else int(port) if port.isdigit() else ord(port) - ord("A")) * size + int(
        found[2]
    )


def load_board(name: str) -> Board:
    """A board by name, or by the path of a TOML file of the user's own."""
    path = _find("board", name, paths.boards_dir())
    values = read_toml(path)
    for key in set(_PINS) & set(values):
        values[key] = pin(values[key], str(values.get("soc")), f"{path}: {key}")
    if isinstance(values.get("led_rgb"), list):
        soc = str(values.get("soc"))
        values["led_rgb"] = [pin(v, soc, f"{path}: led_rgb") for v in values["led_rgb"]]
    return build(Board, {"name": path.stem, **values}, str(path))


def load_budget(name: str) -> Budget:
    """A budget by name, or by the path of a TOML file of the user's own."""
    path = _find("budget", name, paths.budgets_dir())
    return build(Budget, {"name": path.stem, **read_toml(path)}, str(path))


def card_to_json(card: ModelCard) -> str:
    """The text of the metadata entry `mcu_asc`; equal cards give equal text.

    A field that came later appears where it says something new: older versions read the others.
    """
    values = dataclasses.asdict(card)
    if not card.multi_label:
        del values["multi_label"]
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def card_from_json(text: str) -> ModelCard:
    """The inverse of `card_to_json`; UsageError for a card that this version cannot read."""
    try:
        values = json.loads(text)
    except ValueError as e:
        raise UsageError(f"the model's metadata entry 'mcu_asc' is not JSON: {e}", "export it again") from e
    if not isinstance(values, dict) or values.get("version") != 1:
        raise UsageError(
            "the model's metadata is of another version", "export it with this version of mcu-asc"
        )
    return build(ModelCard, values, "metadata entry 'mcu_asc'")
