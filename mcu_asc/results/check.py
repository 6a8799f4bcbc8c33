"""Does a model fit the board and the challenge?  Answered before anything is built."""

from __future__ import annotations

from mcu_asc import compiler
from mcu_asc.compiler import budget as counting
from mcu_asc.firmware import ram_bytes, room, rough_flash_bytes
from mcu_asc.nouns import Board, Budget, CheckResult, Model


def check(model: Model, board: Board, budget: Budget | None, layout: str = "baremetal") -> CheckResult:
    """Counts, memory plan and limits in one result; the file is only read."""
    plan = compiler.plan(model.graph, compiler.flavour_of(board.cpu))
    counts = compiler.counts(model.graph)
    counted = counting.views(model.graph, counts)
    flash_room, ram_room = room(board, layout)
    where = board.name if layout == "baremetal" else f"{board.name}'s Arduino core"
    ram = ram_bytes(model, plan, board, layout)
    flash = rough_flash_bytes(model, board)
    peak = next((c.name for c in counts if c.index == plan.peak_op), "")
    reasons = list(counting.over_budget(counted, budget)) if budget else []
    if ram > ram_room:
        reasons.append(
            f"{ram:,} bytes of RAM, {where} has {ram_room:,}: {ram - ram_room:,} missing; "
            f"the arena's peak of {plan.arena_bytes:,} is at layer '{peak}'"
        )
    if flash > flash_room:
        reasons.append(
            f"about {flash:,} bytes of flash, {where} has {flash_room:,}: {flash - flash_room:,} missing"
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
        warnings=_warnings(model, board, budget),
    )


def _warnings(model: Model, board: Board, budget: Budget | None) -> tuple[str, ...]:
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
    if board.mic_rates_hz and fe.sample_rate_hz not in board.mic_rates_hz:
        rates = ", ".join(f"{r:,}" for r in board.mic_rates_hz)
        out.append(
            f"the board's microphone gives {rates} Hz, not {fe.sample_rate_hz:,}: clips can be streamed to it"
        )
    return tuple(out)
