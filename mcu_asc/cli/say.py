"""How the verbs speak: prose and tables, one JSON object, progress, and what a figure is worth."""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

# What is no measurement, by where it ran.
ESTIMATES = {
    "emulator": "estimate: Cortex-M4 timing tables on the emulated instructions, not measured on silicon",
    "renode": "instructions at one a cycle, as Renode counts; the core's cycles are more",
}


def console(stderr: bool) -> Console:
    """Prose is never wrapped; tables get 110 columns where no terminal says how wide it is."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 110
    return console


def out() -> Console:
    return console(stderr=False)


def err() -> Console:
    return console(stderr=True)


def print_json(value: Any) -> None:
    click.echo(jsonlib.dumps(value, default=list))


@contextmanager
def progress(total: int | None, text: str) -> Iterator[Callable[..., None]]:
    """A bar on stderr, or a line every 15 s where it is no terminal.

    Yields update(done, note, total, text).
    """
    console = err()
    if not console.is_terminal:
        yield _lines(total, text)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(text, total=total, note="")

        def update(done: int, note: str = "", total: int | None = None, text: str | None = None) -> None:
            bar.update(task, completed=done, note=note, total=total, description=text)

        yield update


def _lines(total: int | None, text: str) -> Callable[..., None]:
    whole, name, last = total, text, time.monotonic()

    def update(done: int, note: str = "", total: int | None = None, text: str | None = None) -> None:
        nonlocal whole, last
        whole = total or whole
        if time.monotonic() - last > 15:
            last = time.monotonic()
            click.echo(f"{text or name}: {done}{f' of {whole}' if whole else ''} {note}".rstrip(), err=True)

    return update
