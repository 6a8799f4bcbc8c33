"""Does a model fit the board and the challenge?  Answered before anything is built."""

from __future__ import annotations

from mcu_asc import compiler
from mcu_asc.compiler import budget as counting
from mcu_asc.compiler.expand import expansion
from mcu_asc.compiler.lower import lower
from mcu_asc.compiler.sparsity import sparsity
from mcu_asc.firmware import (
    deployed,
    fitted,
    live_refusal,
    memory_plan,
    ram_bytes,
    room,
    rough_flash_bytes,
)
from mcu_asc.nouns import Board, Budget, CheckResult, MemoryPlan, Model, Schedule


def check(
    model: Model,
    board: Board,
    budget: Budget | None,
    layout: str = "baremetal",
    flash_limit: int | None = None,
) -> CheckResult:
    """Counts, memory plan and limits in one result; the file is only read.

    flash_limit  bytes, where it is less than what the board has room for
    """
    counts = compiler.counts(model.graph)  # of the file: challenges count what it holds
    counted = counting.views(model.graph, counts)
    model = fitted(deployed(model), board, layout, flash_limit)
    plan = memory_plan(model, board, layout)
    whole = compiler.plan(model.graph, compiler.flavour_of(board.cpu), schedule=Schedule())
    flash_room, ram_room = room(board, layout)
    where = board.name if layout == "baremetal" else f"{board.name}'s Arduino core"
    ram = ram_bytes(model, plan, board, layout)
    flash = rough_flash_bytes(model, board)
    peak = _peak(model, plan)
    reasons = list(counting.over_budget(counted, budget)) if budget else []
    if ram > ram_room:
        reasons.append(
            f"{ram:,} bytes of RAM, {where} has {ram_room:,}: {ram - ram_room:,} missing; "
            f"the arena's peak of {plan.arena_bytes:,} is at layer '{peak}'"
            f"{_remedies(model, plan, ram - ram_room)}"
        )
    has = f"{where} has"
    if flash_limit is not None and flash_limit < flash_room:
        flash_room, has = flash_limit, "the limit is"
    if flash > flash_room:
        reasons.append(
            f"about {flash:,} bytes of flash, {has} {flash_room:,}: {flash - flash_room:,} missing"
        )
    return CheckResult(
        fits=not reasons,
        params=counted[0].params,
        macs=counted[0].macs,
        arena_bytes=plan.arena_bytes,
        ram_bytes=ram,
        ram_limit_bytes=ram_room,
        flash_bytes=flash,
        flash_limit_bytes=flash_room,
        peak_layer=peak,
        views=counted,
        reasons=tuple(reasons),
        warnings=(
            *_left_out(counted[0].macs, model),
            *_short_of_scratch(model, plan, board),
            *_warnings(model, board, budget, layout),
        ),
        banded_layers=sum(b.last - b.first + 1 for b in plan.schedule.bands),
        whole_arena_bytes=whole.arena_bytes,
        extra_cycles=plan.schedule.extra_cycles / max(1, plan.schedule.cycles),
        sparsity=sparsity(model.graph, plan.flavour),
        expansion=expansion(model.graph, plan.flavour, board.flash_wait_states),
        window_s=model.card.front_end.seconds if model.card else None,
    )


def _peak(model: Model, plan: MemoryPlan) -> str:
    """The layer that the arena is fullest at; of layers that run together, the first and the last."""
    names = [c.name for c in compiler.counts(model.graph)]
    ends = [(b.first, b.last) for b in plan.schedule.bands if b.first <= plan.peak_op <= b.last]
    return " to ".join(dict.fromkeys(names[i] for i in (ends[0] if ends else (plan.peak_op,))))


def _left_out(macs: int, model: Model) -> tuple[str, ...]:
    left = sum(c.macs for c in compiler.counts(model.graph))
    if left == macs:
        return ()
    return (f"channels that change no output are left out: {left:,} of {macs:,} MACs remain",)


def _short_of_scratch(model: Model, plan: MemoryPlan, board: Board) -> tuple[str, ...]:
    best = lower(model.graph, compiler.flavour_of(board.cpu))
    slow = sum(a.sources != b.sources for a, b in zip(best, lower(model.graph, plan.flavour), strict=True))
    if not slow:
        return ()
    return (f"{slow} layers run on slower kernels: the RAM is too short for the scratch of the fast ones",)


def _remedies(model: Model, plan: MemoryPlan, missing: int) -> str:
    """What would fit, roughly: tensors shrink with the input's rows and with the layers' channels."""
    source = model.graph.tensors[model.graph.inputs[0]]
    left = plan.arena_bytes - missing
    tried = "even row by row" if plan.schedule.bands else "and no band of rows makes it smaller"
    if left <= 0:
        return f", {tried}; what else the firmware needs fills the RAM already"
    share = left / plan.arena_bytes
    found = []
    if len(source.shape) == 4 and (rows := int(source.shape[1] * share)) >= 1:
        found.append(f"an input of about {rows} rows instead of {source.shape[1]}")
    if source.bytes < left:
        width = (left - source.bytes) / (plan.arena_bytes - source.bytes)
        found.append(f"layers there about {100 * width:.0f} % as wide")
    return f", {tried}; what fits: {' or '.join(found) or 'a smaller input'}"


def _warnings(model: Model, board: Board, budget: Budget | None, layout: str) -> tuple[str, ...]:
    out = []
    if model.card is None:
        out.append("no front end in the file's metadata: the firmware will take tensors, not sound")
        return tuple(out)
    fe = model.card.front_end
    seconds = fe.samples / fe.sample_rate_hz
    if budget and seconds > 1.5 * budget.window_s:
        out.append(
            f"one inference takes {seconds:.1f} s of sound, {budget.name} counts per {budget.window_s:g} s"
        )
    if refusal := live_refusal(fe, board, layout):
        out.append(f"not live: {refusal}")
    return tuple(out)
