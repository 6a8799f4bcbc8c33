"""The widest version of a student that keeps to a budget and a board: counted and planned, not trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from mcu_asc import compiler, config
from mcu_asc.compiler.schedule import plan_cycles
from mcu_asc.errors import OverBudget
from mcu_asc.firmware import deployed, fitted, memory_plan
from mcu_asc.learn.students import Shape
from mcu_asc.learn.untrained import student_views, untrained
from mcu_asc.limits import over_budget
from mcu_asc.nouns import Board, Budget, CheckResult, FitResult, FrontEndConfig, Model
from mcu_asc.results.check import check

STEP = 0.02  # of the width
WIDTHS = tuple(round(STEP * i, 2) for i in range(5, 401))  # 0.1 .. 8: what a recipe takes

Seen = Callable[[float], None]


def latency_ms(model: Model, board: Board) -> float:
    """Milliseconds of one inference without the front end, an estimate.

    Cycles of the kernels for a Cortex-M4 on the weights' forms that the board's flash allows, and what the
    plan's bands add (schedule.py); flash wait states are not in it.
    """
    model = fitted(deployed(model), board)
    return 1e3 * plan_cycles(model.graph, memory_plan(model, board)) / board.clock_hz


def fit(
    student: str,
    classes: int,
    front_end: FrontEndConfig,
    board: Board,
    budget: Budget | None,
    limit_ms: float = 0.0,
    seen: Seen = lambda width: None,
) -> FitResult:
    """The widest `student` inside parameters, MACs, RAM, flash and estimated latency.

    limit_ms  for one inference; 0: the sound of one window must be dealt with before the next one is complete
    seen      is told each width that is looked at

    Counts of the Keras model decide first; only widths that pass them are converted and planned.  All costs
    grow with the width, so it is halved between one that fits and one that does not.  OverBudget when the
    narrowest does not fit.
    """
    limit = limit_ms or 1e3 * front_end.samples / front_end.sample_rate_hz

    def shape(width: float) -> Shape:
        return Shape(front_end.rows, front_end.bands, classes, width, channels=front_end.channels)

    @cache
    def counted(width: float) -> tuple[str, ...]:
        seen(width)
        return over_budget(student_views(student, shape(width)), budget) if budget else ()

    @cache
    def planned(width: float) -> tuple[CheckResult, float, tuple[str, ...]]:
        seen(width)
        model = compiler.read(untrained(student, shape(width), front_end))
        result, ms = check(model, board, budget), latency_ms(model, board)
        late = (f"about {ms:.0f} ms for one inference, {limit:.0f} ms are allowed",) if ms > limit else ()
        return result, ms, result.reasons + late

    def whole(width: float) -> tuple[str, ...]:
        return counted(width) or planned(width)[2]

    if reasons := whole(WIDTHS[0]):
        raise OverBudget(
            f"{student} does not fit at its narrowest, width {WIDTHS[0]:g}: " + "; ".join(reasons),
            "take another student, fewer bands or fewer rows",
        )
    top = _last(counted, 0, len(WIDTHS)) if budget else len(WIDTHS) - 1
    best = top if not whole(WIDTHS[top]) else _last(whole, 0, top)
    width = WIDTHS[best]
    result, ms, _ = planned(width)
    stopped = whole(WIDTHS[best + 1]) if best + 1 < len(WIDTHS) else ("no wider version is offered",)
    return FitResult(
        student=student,
        width=width,
        rows=front_end.rows,
        bands=front_end.bands,
        classes=classes,
        check=result,
        latency_ms=ms,
        latency_limit_ms=limit,
        stopped_by=stopped,
    )


def _last(reasons: Callable[[float], tuple[str, ...]], fits: int, fails: int) -> int:
    """The index of the last width that gives no reason; `fits` is one, `fails` is none (or the end)."""
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if reasons(WIDTHS[middle]):
            fails = middle
        else:
            fits = middle
    return fits


def gate(content: bytes, board: str, budget: str) -> None:
    """OverBudget when a .tflite, trained or not, does not fit the board and the budget named ("" = none)."""
    result = check(
        compiler.read(content), config.load_board(board), config.load_budget(budget) if budget else None
    )
    if not result.fits:
        raise OverBudget("does not fit: " + "; ".join(result.reasons), "see mcu-asc fit")
