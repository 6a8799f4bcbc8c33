"""The main claim on real sound: the shipped ESC-10 student, scored on the emulated board and on the host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcu_asc.cli import main


def run(capsys: pytest.CaptureFixture[str], *args: str | Path) -> dict[str, Any]:
    with pytest.raises(SystemExit) as end:
        main([*map(str, args), "--json"])
    out, err = capsys.readouterr()
    assert end.value.code == 0, err
    result: dict[str, Any] = json.loads(out)
    return result


def test_emulator_and_host_print_the_same_score(
    esc10_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "esc10"
    run(capsys, "build", "--student", "esc10", "--out", project)
    data = ("--data", "esc10", "--data-root", esc10_root, "--folds", "4")
    emulator = run(capsys, "score", project, "--on", "emulator", *data)
    host = run(capsys, "score", project, "--on", "host", *data)
    for key in ("clips", "accuracy", "log_loss", "confusion"):
        assert emulator[key] == host[key], key
    assert emulator["clips"] == 80
    assert emulator["accuracy"] >= 0.92
    assert emulator["parity"] == {"compared": 80, "equal": 80, "against": ["TFLM interpreter", "host C"]}
    fit = run(capsys, "check", "esc10", "--budget", "dcase2022")
    assert fit["params"] <= 128_000 and fit["macs"] <= 30_000_000
