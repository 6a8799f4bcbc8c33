"""A challenge's verdict on counts, wherever they come from: a Keras model or a .tflite file."""

from __future__ import annotations

from collections.abc import Sequence

from mcu_asc.nouns import Budget, CountView


def over_budget(counted: Sequence[CountView], budget: Budget) -> tuple[str, ...]:
    """One sentence for each limit of the budget that the worst count exceeds."""
    kept = [v for v in counted if (v.rule != "non-zero") == budget.count_zeros]
    # What NeSsi prints as parameters of a .tflite are bytes: it is compared with limits in bytes only.
    by_number = [v for v in kept if v.rule != "NeSsi tflite"]
    limits = (
        (budget.max_params, by_number, "params", "parameters"),
        (budget.max_param_bytes, kept, "param_bytes", "bytes of parameters"),
        (budget.max_macs, counted, "macs", "MACs for one inference"),
    )
    reasons = []
    for limit, rows, key, what in limits:
        if not limit or not rows:
            continue
        worst = max(rows, key=lambda v: int(getattr(v, key)))
        value = int(getattr(worst, key))
        if value > limit:
            reasons.append(
                f"{value:,} {what} (counted as {worst.rule}), {budget.name} allows {limit:,}: "
                f"{value - limit:,} too many"
            )
    return tuple(reasons)
