"""What a listening device decides, decision by decision, as facts to print."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from mcu_asc.errors import UsageError
from mcu_asc.nouns import ClipResult, FrontEndConfig, LiveDecision, LiveEnd, WindowResult
from mcu_asc.results.score import Judge

_MOST_ROWS = 0xFFFF  # LIVE's hop_rows is 16 bits


def hop_rows(seconds: float | None, fe: FrontEndConfig) -> int | None:
    """Seconds from one decision to the next as rows, rounded, at least one; None stays None.

    Raises UsageError for what is not positive or too long.
    """
    if seconds is None:
        return None
    rows = round(seconds * fe.sample_rate_hz / fe.hop)
    if seconds <= 0 or rows > _MOST_ROWS:
        longest = _MOST_ROWS * fe.hop // fe.sample_rate_hz
        raise UsageError(f"a decision every {seconds:g} s is not possible", f"give 0.01 to {longest} s")
    return max(1, rows)


def describe(judge: Judge, windows: int, clock_hz: int) -> Callable[[LiveDecision], dict[str, Any]]:
    """A function from each decision of one run to what is printed of it.

    Each answer is the card's decision rule over the last `windows` decisions; `load` is the share of its time
    that the CPU spent on front end and model since the decision before (1 and more: it cannot keep up).
    """
    last: deque[LiveDecision] = deque(maxlen=windows)

    def line(d: LiveDecision) -> dict[str, Any]:
        before = last[-1].time_s if last else None
        last.append(d)
        p = judge.probabilities(ClipResult(tuple(_window(x) for x in last)))
        best = int(np.argmax(p))
        busy_s = (d.frontend_cycles + d.model_cycles) / clock_hz
        return {
            "time_s": round(d.time_s, 3),
            "label": judge.card.labels[best],
            "probability": round(float(p[best]), 4),
            "alive_rows": d.alive_rows,
            "dropped": d.dropped,
            "skipped": d.skipped,
            "latency_ms": round(1000 * d.latency_s, 1),
            "load": round(busy_s / (d.time_s - before), 3) if before is not None else None,
            "frontend_cycles": d.frontend_cycles,
            "model_cycles": d.model_cycles,
        }

    return line


def _window(d: LiveDecision) -> WindowResult:
    return WindowResult(d.index, d.logits, d.alive_rows, d.features_crc, d.frontend_cycles, d.model_cycles)


def summary(end: LiveEnd, seen: int) -> dict[str, Any]:
    """How a run ended; `seen` decisions came over the line."""
    return {
        "ended": end.reason,
        "time_s": end.time_s,
        "decisions": end.decisions,
        "lost_on_the_line": end.decisions - seen,
        "dropped": end.dropped,
        "skipped": end.skipped,
    }
