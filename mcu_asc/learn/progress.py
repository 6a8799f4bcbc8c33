"""How training tells whoever called it where it stands."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called after each step: the stage's name, steps done, steps in all, and a line of figures."""

    def __call__(self, stage: str, step: int, total: int, text: str) -> None: ...


def silent(stage: str, step: int, total: int, text: str) -> None:
    """Progress for nobody."""
