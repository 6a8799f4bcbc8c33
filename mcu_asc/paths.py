"""Where the project's data lies, in a checkout or in an installed wheel, and where outside data is found."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    """A top-level folder of the checkout, or its copy in the wheel (see firmware/CMakeLists.txt)."""
    checkout = _PACKAGE.parent / name
    return checkout if checkout.is_dir() else _PACKAGE / "_data" / name


def firmware_dir() -> Path:
    """Hand-written C, ports and templates."""
    return _shipped("firmware")


def boards_dir() -> Path:
    """One TOML file a board."""
    return _shipped("boards")


def budgets_dir() -> Path:
    """One TOML file a challenge's complexity limit."""
    return _PACKAGE / "budgets"


def students_dir() -> Path:
    """The students that ship with the package, one folder each."""
    return _PACKAGE / "students"


def cache_dir() -> Path:
    """Features and other things that can be made again; $MCU_ASC_CACHE, else the XDG cache."""
    own = os.environ.get("MCU_ASC_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcu-asc"


def data_root() -> Path | None:
    """$MCU_ASC_DATA: the folder that holds the data sets, one folder each; None where it is not set."""
    value = os.environ.get("MCU_ASC_DATA")
    return Path(value) if value else None
