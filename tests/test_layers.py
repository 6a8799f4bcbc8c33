"""The house keeps its shape: modules import lower ranks or siblings; third parties stay in their rooms."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "mcu_asc"
RANKS = {
    "errors": 0,
    "nouns": 1,
    "config": 2,
    "paths": 1,  # config reads files where paths finds them
    "toolchain": 2,
    "decide": 2,
    "metrics": 2,
    "limits": 2,
    "store": 2,
    "native": 3,
    "_native": 2,
    "audio": 4,
    "learn": 5,
    "compiler": 5,
    "firmware": 6,
    "device": 7,
    "results": 7,
    "cli": 8,
}
FENCES = {  # third party -> the only rooms that may import it
    "tensorflow": {"learn"},
    "tf_keras": {"learn"},
    "tensorflow_model_optimization": {"learn"},
    "onnx": {"learn"},
    "onnx2tf": {"learn"},
    "onnxruntime": {"learn"},
    "unicorn": {"device"},
    "capstone": {"device"},
    "serial": {"device"},
    "soundfile": {"audio"},
    "soxr": {"audio"},
    "jinja2": {"compiler", "firmware", "audio"},
    "click": {"cli"},
    "rich": {"cli"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found += [f"{node.module}.{a.name}" for a in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "_native_build"):
        return
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "mcu_asc":
            there = rest.split(".")[0]
            if there in ("__version__", ""):
                continue
            assert there in RANKS, f"{path}: {there} has no rank"
            assert there == here or RANKS[there] < RANKS[here], f"{path} ({here}) imports {name}"
        elif top in FENCES:
            assert here in FENCES[top], f"{path} ({here}) imports {top}"


def test_only_the_command_line_prints_or_exits() -> None:
    for path in MODULES:
        if room(path) == "cli" or path.name == "__main__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "exit"), f"{path}:{node.lineno} prints or exits"


def test_every_room_has_a_rank() -> None:
    assert {room(p) for p in MODULES} - {"__init__", "_native_build"} <= set(RANKS)
