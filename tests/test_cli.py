"""The verbs as a person or a script meets them: JSON keys, exit codes, one line for each mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcu_asc import config, paths
from mcu_asc.cli import main
from mcu_asc.device.emulator import launch

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import sparsity

CLIPS = 6


@pytest.fixture
def asc(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a verb: exit code, stdout, stderr."""

    def run(*args: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(map(str, args)))
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenes student, built."""
    out = tmp_path_factory.mktemp("cli") / "scenes"
    with pytest.raises(SystemExit) as end:
        main(["build", "--student", "scenes", "--out", str(out)])
    assert end.value.code == 0
    return out


Asc = Callable[..., tuple[int, str, str]]


def score(asc: Asc, project: Path, on: str, *more: str) -> dict[str, Any]:
    code, out, err = asc(
        "score", project, "--on", on, "--data", "scenes", "--folds", "4", "--limit", CLIPS, "--json", *more
    )
    assert code == 0, err
    result = json.loads(out)
    assert isinstance(result, dict)
    return result


# ---- what a script may rely on --------------------------------------------------------------------


def test_check_json(asc: Asc) -> None:
    code, out, _ = asc("check", "scenes", "--board", "nano33", "--budget", "dcase2022", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["fits"] is True and result["reasons"] == []
    assert {"params", "macs", "arena_bytes", "ram_bytes", "flash_bytes"} <= set(result)
    assert 0 < result["params"] <= 128_000 and 0 < result["macs"] <= 30_000_000
    assert result["window_s"] == pytest.approx(49 * 0.02 + 0.064)
    assert "a window spans 1.044 s of sound" in asc("check", "scenes")[1]


def test_build_says_what_the_linker_made(asc: Asc, project: Path) -> None:
    code, out, _ = asc("build", "--student", "scenes", "--out", project, "--json")
    result = json.loads(out)
    assert code == 0
    said = subprocess.run(
        ["arm-none-eabi-size", project / "firmware.elf"], capture_output=True, text=True, check=True
    )
    text, data, bss = map(int, said.stdout.splitlines()[1].split()[:3])
    assert (result["text_bytes"], result["data_bytes"], result["bss_bytes"]) == (text, data, bss)
    assert (result["flash_bytes"], result["ram_bytes"]) == (text + data, data + bss)
    for suffix in ("elf", "hex", "bin"):
        assert (project / f"firmware.{suffix}").stat().st_size > 0
    assert (project / "firmware.bin").stat().st_size == text + data


def test_check_estimates_no_less_than_the_linker_needs(asc: Asc, project: Path) -> None:
    estimate = json.loads(asc("check", "scenes", "--json")[1])
    linked = json.loads(asc("build", "--student", "scenes", "--out", project, "--json")[1])
    assert linked["ram_bytes"] <= estimate["ram_bytes"] <= linked["ram_bytes"] + 2048
    assert linked["flash_bytes"] <= estimate["flash_bytes"] <= linked["flash_bytes"] + 16384


def test_the_flash_limit_holds_for_check_and_build(asc: Asc, tmp_path: Path) -> None:
    free = json.loads(asc("check", "scenes", "--json")[1])
    limit = free["flash_bytes"] - free["expansion"]["bytes"] // 2
    fit = json.loads(asc("check", "scenes", "--flash-limit", limit, "--json")[1])
    assert fit["flash_bytes"] <= fit["flash_limit_bytes"] == limit
    assert 0 < fit["expansion"]["bytes"] < free["expansion"]["bytes"]
    assert 0 < fit["expansion"]["cycles_saved"] < free["expansion"]["cycles_saved"]
    assert {"index", "name", "form", "bytes", "cycles_saved"} == set(fit["expansion"]["layers"][0])
    built = asc("build", "scenes", "--out", tmp_path / "p", "--flash-limit", limit, "--json")
    assert json.loads(built[1])["flash_bytes"] <= limit
    code, out, err = asc("check", "scenes", "--flash-limit", 1000)
    assert code == 3 and "no weights are expanded" in out and "the limit is 1,000" in err


def test_host_and_emulator_score_the_same_and_every_logit_agrees(asc: Asc, project: Path) -> None:
    emulator, host = score(asc, project, "emulator"), score(asc, project, "host")
    for key in ("clips", "accuracy", "log_loss", "confusion", "labels"):
        assert emulator[key] == host[key], key
    assert emulator["clips"] == CLIPS
    assert emulator["parity"] == {
        "compared": CLIPS,
        "equal": CLIPS,
        "against": ["TFLM interpreter", "host C"],
    }
    assert host["parity"]["equal"] == CLIPS
    for key in (
        "mean_class_accuracy",
        "macro_log_loss",
        "window_accuracy",
        "interval",
        "devices",
        "calibration",
    ):
        assert emulator[key] == host[key], key
    assert sum(part["clips"] for part in host["devices"].values()) == CLIPS
    assert host["cities"] is None


def test_counting_cycles_changes_no_answer(asc: Asc, project: Path) -> None:
    plain, counted = score(asc, project, "emulator"), score(asc, project, "emulator", "--cycles")
    assert counted["log_loss"] == plain["log_loss"]
    assert counted["model_cycles_per_window"] > 100_000
    assert "estimate" in counted["cycles_are"]


def test_bench_json(asc: Asc, project: Path, tmp_path: Path) -> None:
    code, out, _ = asc("bench", project, "--on", "emulator", "--json")
    assert code == 0
    result = json.loads(out)
    assert set(result) >= {
        "frontend_cycles",
        "layers",
        "total_cycles",
        "arena_bytes",
        "ram_bytes",
        "stack_bytes",
        "flash_bytes",
        "code_bytes",
    }
    assert all({"name", "op", "macs", "cycles"} <= set(layer) for layer in result["layers"])
    assert result["total_cycles"] == result["frontend_cycles"] + sum(x["cycles"] for x in result["layers"])
    assert 0 < result["stack_bytes"] < config.load_board("nano33").stack_bytes
    assert 0 < result["code_bytes"] < result["flash_bytes"]

    # The same run again moved nothing; a layer that was dearer is named.
    result["layers"][0]["cycles"] *= 2
    (tmp_path / "earlier.json").write_text(json.dumps(result))
    moved = json.loads(asc("bench", project, "--json", "--against", tmp_path / "earlier.json")[1])["moved"]
    assert [m["name"] for m in moved] == [result["layers"][0]["name"], "total"]
    code, _, err = asc("bench", project, "--against", __file__)
    assert code == 2 and "bench --json" in err


def test_check_and_bench_say_what_zero_blocks_save(asc: Asc, tmp_path: Path) -> None:
    shipped = (paths.students_dir() / "scenes" / "student.tflite").read_bytes()
    path, made = tmp_path / "sparse.tflite", tmp_path / "p"
    path.write_bytes(sparsity.pruned(shipped, "block", 0.75))
    fit = json.loads(asc("check", path, "--json")[1])["sparsity"]
    assert 0.74 < fit["zero_blocks"] / fit["blocks"] < 0.76
    assert 0.7 < fit["macs_skipped"] / fit["macs"] < 0.76
    assert fit["bytes_saved"] > 0
    assert [x["name"] for x in fit["layers"]] == ["conv1", "conv2", "conv3", "conv4"]
    assert asc("build", path, "--out", made)[0] == 0
    assert json.loads(asc("bench", made, "--json")[1])["sparsity"] == fit
    for verb, given in (("check", path), ("bench", made)):
        said = asc(verb, given)[1]
        assert "zero blocks of weights that are skipped" in said
        assert f"{fit['macs_skipped']:,}" in said and f"{fit['bytes_saved']:,}" in said
    assert "zero blocks" not in asc("check", "scenes")[1]


@pytest.mark.parametrize("verb", ["boards", "doctor", "version"])
def test_about_json(asc: Asc, verb: str) -> None:
    code, out, _ = asc(verb, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)


def test_people_get_tables(asc: Asc, project: Path, tmp_path: Path) -> None:
    png = tmp_path / "confusion.png"
    code, out, _ = asc("score", project, "--on", "host", "--data", "scenes", "--limit", CLIPS, "--png", png)
    assert code == 0
    assert "accuracy" in out and f"{CLIPS} of {CLIPS} clips (100 %) equal in every logit byte" in out
    assert png.exists()
    assert "estimate" in asc("bench", project)[1]
    assert "worst count decides" in asc("check", "scenes", "--budget", "dcase2022")[1]
    assert "Arduino Nano 33 BLE" in asc("boards")[1]


# ---- mistakes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["chekc"], 2, "No such command"),
        (["check"], 2, "Missing argument"),
        (["check", "/nowhere/x.tflite"], 2, "/nowhere/x.tflite"),
        (["check", __file__], 2, "test_cli.py"),
        (["check", "scenes", "--board", "uno"], 2, "nano33"),
        (["check", "scenes", "--budget", "dcase1999"], 2, "dcase2022"),
        (["build", "--student", "nobody"], 2, "esc10"),
        (["score", "/nowhere"], 2, "mcu-asc build"),
        (["bench", "/nowhere"], 2, "mcu-asc build"),
        (["train", "/nowhere/recipe.toml"], 2, "/nowhere/recipe.toml"),
        (["export", "/nowhere"], 2, "/nowhere"),
    ],
)
def test_a_mistake_gets_one_line_and_a_code(asc: Asc, args: list[str], code: int, says: str) -> None:
    got, out, err = asc(*args)
    assert (got, out) == (code, "")
    assert says in err
    assert err.startswith("error: ") and err.count("\n") == 1


def test_debug_shows_the_traceback() -> None:
    from mcu_asc.errors import UsageError

    with pytest.raises(UsageError):
        main(["check", "/nowhere/x.tflite", "--debug"])


def test_wrong_data_is_refused_before_anything_runs(asc: Asc, project: Path, tmp_path: Path) -> None:
    for more, says in (
        (["--data", "tau"], "esc10"),
        (["--data", "scenes", "--folds", "9"], "no fold 9"),
        (["--data", "esc10", "--data-root", tmp_path / "none"], "none"),
    ):
        code, _, err = asc("score", project, "--on", "host", *more)
        assert code == 2 and says in err and err.count("\n") == 1


def test_a_board_too_small_is_refused_with_the_bytes_that_are_missing(asc: Asc, tmp_path: Path) -> None:
    board = tmp_path / "small.toml"
    text = (paths.boards_dir() / "nano33.toml").read_text()
    board.write_text(text.replace("ram_bytes = 262_144", "ram_bytes = 16_384", 1))
    for verb in (["check", "scenes"], ["build", "--student", "scenes", "--out", tmp_path / "p"]):
        code, _, err = asc(*verb, "--board", board)
        assert code == 3
        assert "missing" in err and "bytes of RAM" in err and "layer" in err
    assert not (tmp_path / "p").exists()


def test_no_device_on_the_port(asc: Asc, project: Path) -> None:
    code, _, err = asc("score", project, "--on", "/dev/ttyNOWHERE", "--data", "scenes", "--limit", "1")
    assert code == 5 and "/dev/ttyNOWHERE" in err and err.count("\n") == 1


# ---- what breaks in the middle -------------------------------------------------------------------------


def test_killed_emulator_is_one_line_keeps_clips_and_resumes(asc: Asc, project: Path) -> None:
    journal = project / "score-scenes-port.jsonl"
    journal.unlink(missing_ok=True)
    args = ["score", str(project), "--data", "scenes", "--folds", "4", "--limit", "12", "--json"]
    board = config.load_board("nano33")
    with launch(project / "firmware.elf", board, cycles=True) as emulator:
        run = subprocess.Popen(
            [sys.executable, "-m", "mcu_asc.cli", *args, "--on", emulator.url],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and not (journal.exists() and journal.read_text().count("\n") >= 3):
            time.sleep(0.05)
        os.kill(emulator.process.pid, signal.SIGKILL)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 5
    line = err.strip().splitlines()[-1]
    assert "clips are kept in" in line and "--resume" in line and "Traceback" not in err
    kept = journal.read_text().count("\n") - 1
    assert 2 <= kept < 12

    with launch(project / "firmware.elf", board) as emulator:
        code, out, err = asc(*args, "--on", emulator.url, "--resume")
    assert code == 0, err
    result = json.loads(out)
    assert result["parity"]["equal"] == result["clips"] == 12
    with launch(project / "firmware.elf", board) as emulator:
        whole = json.loads(asc(*args, "--on", emulator.url)[1])
    assert whole["log_loss"] == result["log_loss"]
