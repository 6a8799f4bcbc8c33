"""Scores by hand-made numbers, the journal's promises, and the budget's counting."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from mcu_asc import compiler, paths
from mcu_asc.compiler.budget import over_budget, views
from mcu_asc.config import load_budget
from mcu_asc.errors import UsageError
from mcu_asc.metrics import reliability
from mcu_asc.nouns import Clip, CountView
from mcu_asc.results.report import draw_confusion, draw_reliability
from mcu_asc.results.score import ClipScore, Journal, evaluation, report

LABELS = ("cat", "dog")


def line(clip: str, label: str, answer: str, p: float, different: tuple[str, ...] = ()) -> ClipScore:
    return ClipScore(
        clip, label, answer, -math.log(p), () if different else ("host C",), different, 10, 20, 2
    )


SCORES = [
    line("1", "cat", "cat", 0.8),
    line("2", "cat", "dog", 0.3),
    line("3", "dog", "dog", 0.5, different=("host C",)),
    line("4", "dog", "dog", 1.0),
]


def test_report_by_hand() -> None:
    r = report(SCORES, LABELS)
    assert (r.clips, r.correct, r.accuracy) == (4, 3, 0.75)
    assert r.confusion == ((1, 1), (0, 2))
    assert r.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.3) + math.log(0.5)) / 4)
    assert (r.compared, r.equal) == (4, 3)


def test_evaluation_by_hand() -> None:
    clips = [
        Clip("1", "cat", 4, "p", device="a", city="lyon"),
        Clip("2", "cat", 4, "p", device="b", city="lyon"),
        Clip("3", "dog", 4, "q", device="a", city="paris"),
        Clip("4", "dog", 4, "r", device="a", city="paris"),
    ]
    sure = {"1": (0.8, 2), "2": (0.7, 0), "3": (0.5, 1), "4": (1.0, 2)}
    scores = {
        s.id: dataclasses.replace(s, confidence=sure[s.id][0], windows_right=sure[s.id][1]) for s in SCORES
    }
    found = evaluation(clips, scores, LABELS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["mean_class_accuracy"] == 0.75
    assert found["class_accuracy"] == {"cat": 0.5, "dog": 1.0}
    assert found["window_accuracy"] == 5 / 8
    cat, dog = -(math.log(0.8) + math.log(0.3)) / 2, -math.log(0.5) / 2
    assert found["macro_log_loss"] == pytest.approx((cat + dog) / 2)
    assert found["interval"]["recordings"] == 3
    assert found["interval"]["accuracy"] == [0.5, 1.0]
    assert {d: (p["clips"], p["accuracy"]) for d, p in found["devices"].items()} == {
        "a": (3, 1.0),
        "b": (1, 0.0),
    }
    assert found["cities"]["lyon"]["accuracy"] == 0.5
    assert found["calibration"]["error"] == pytest.approx((0.2 + 0.7 + 0.5 + 0.0) / 4)

    bare = [dataclasses.replace(c, device="", city="", group="p") for c in clips]
    found = evaluation(bare, {s.id: s for s in SCORES}, LABELS)  # a journal of old
    assert found["devices"] is found["cities"] is found["calibration"] is found["window_accuracy"] is None
    assert found["interval"]["accuracy"] is None  # one recording


def test_reliability_is_drawn(tmp_path: Path) -> None:
    bins = reliability(np.array([0.3, 0.9, 0.95]), np.array([False, True, True]))
    calibration = {"error": 0.1, "bins": [dataclasses.asdict(b) for b in bins if b.clips]}
    draw_reliability(calibration, tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_no_clips_is_an_error() -> None:
    with pytest.raises(UsageError):
        report([], LABELS)


def test_journal_resumes_and_drops_only_the_line_a_kill_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    identity = {"fingerprint": "f", "limit": None}
    journal = Journal(path, identity, resume=False)
    for s in SCORES[:3]:
        journal.add(s)
    path.write_bytes(path.read_bytes()[:-7])
    again = Journal(path, identity, resume=True)
    assert again.done == {s.id: s for s in SCORES[:2]}
    again.add(SCORES[3])
    assert set(Journal(path, identity, resume=True).done) == {"1", "2", "4"}


def test_journal_of_another_run_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    Journal(path, {"fingerprint": "a"}, resume=False).add(SCORES[0])
    with pytest.raises(UsageError, match="another run"):
        Journal(path, {"fingerprint": "b"}, resume=True)
    Journal(path, {"fingerprint": "b"}, resume=False)
    assert '"id": "1"' in (tmp_path / "j.previous.jsonl").read_text()


def test_confusion_is_drawn(tmp_path: Path) -> None:
    draw_confusion(report(SCORES, LABELS), tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def view(rule: str, params: int, size: int, macs: int) -> CountView:
    return CountView(rule, params, size, macs)


@pytest.mark.parametrize(
    ("budget", "views", "says"),
    [
        ("dcase2022", [view("exact", 128_000, 0, 30_000_000)], []),
        ("dcase2022", [view("exact", 128_001, 0, 0)], ["1 too many"]),
        (
            "dcase2022",
            [view("exact", 1, 0, 1), view("NeSsi tflite", 10**9, 10**9, 30_000_001)],
            ["NeSsi tflite"],
        ),
        ("dcase2022", [view("exact", 1, 0, 1), view("non-zero", 10**9, 0, 0)], []),
        ("dcase2021", [view("exact", 0, 10**9, 10**10), view("non-zero", 0, 131_072, 10**10)], []),
        ("dcase2021", [view("non-zero", 0, 131_073, 0)], ["non-zero"]),
        ("dcase2024", [view("exact", 0, 128_001, 0)], ["128,000"]),
    ],
)
def test_the_worst_count_decides(budget: str, views: list[CountView], says: list[str]) -> None:
    reasons = over_budget(views, load_budget(budget))
    assert len(reasons) == len(says)
    for reason, word in zip(reasons, says, strict=True):
        assert word in reason


def test_every_counting_rule_on_the_shipped_student() -> None:
    """Keras: as TensorFlow 2.21's profiler counts, run once; the rest by hand."""
    graph = compiler.read(paths.students_dir() / "esc10" / "student.tflite").graph
    by_rule = {v.rule: v for v in views(graph, compiler.counts(graph))}
    assert (by_rule["exact"].params, by_rule["exact"].macs) == (125_890, 12_963_344)
    assert (by_rule["NeSsi Keras"].params, by_rule["NeSsi Keras"].macs) == (126_170, 12_985_845)
    assert by_rule["NeSsi tflite"].macs == 12_963_344 + 13 * 16 * 32 * 4 + 7 * 8 * 56 * 4 + 7 * 8 * 104
    assert by_rule["NeSsi PyTorch"].macs == 12_963_344 + 10 + 2 * (16 + 32 + 56 + 72 + 104)


def test_dcase2022_baseline_counts(models_dir: Path) -> None:
    """A network of the challenge's baseline shape: its official 29.23 MMAC count pooling, as NeSsi does."""
    graph = compiler.read(models_dir / "asc_c.tflite").graph
    by_rule = {v.rule: v for v in views(graph, compiler.counts(graph))}
    assert by_rule["exact"].macs == 29_203_560
    assert by_rule["NeSsi tflite"].macs == 29_203_560 + 32_000 + 2_560
