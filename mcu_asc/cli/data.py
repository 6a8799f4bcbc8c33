"""mcu-asc data: list, fetch, check."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcu_asc import paths
from mcu_asc.cli import say
from mcu_asc.cli.options import data_root_option, json_option
from mcu_asc.errors import UsageError

if TYPE_CHECKING:
    from mcu_asc.audio.check import DataCheck


@click.group()
def data() -> None:
    """List, fetch and check data sets."""


@data.command("list")
@json_option
def data_list(as_json: bool) -> None:
    """List the data sets: what they are, their licence, size, length and where they come from."""
    from mcu_asc.audio.datasets import DATASETS

    rows = [
        {
            "name": name,
            "title": row.title,
            "licence": row.licence,
            "bytes": row.size,
            "hours": row.hours,
            "multi_label": row.multi_label,
            "where": row.where,
            "files": len(row.remotes),
            "unchecked": [r.name for r in row.remotes if not r.md5],
        }
        for name, row in DATASETS.items()
    ]
    if as_json:
        say.print_json({"data": rows})
        return
    from rich.table import Table

    table = Table()
    for column in ("name", "data set", "GB", "hours", "licence"):
        table.add_column(column, justify="right" if column in ("GB", "hours") else "left")
    for name, row in DATASETS.items():
        size = f"{row.size / 1e9:.1f}" if row.size else ""
        hours = f"{row.hours:g}" if row.hours else ""
        title = f"{row.title}\n{row.where}" if row.where else row.title
        table.add_row(name, title, size, hours, row.licence)
    say.out().print(table)


@data.command("fetch")
@click.argument("name")
@data_root_option
@click.option("--again", is_flag=True, help="Also what an earlier call has fetched.")
@json_option
def data_fetch(name: str, data_root: Path | None, again: bool, as_json: bool) -> None:
    """Fetch data set NAME from its publisher into --data-root; run it again to go on after a break."""
    from mcu_asc.audio.datasets import row_of
    from mcu_asc.audio.fetch import fetch, remotes_of

    row = row_of(name)
    root = data_root or paths.data_root()
    if root is None:
        raise UsageError("no folder to fetch into", "give --data-root DIR or set MCU_ASC_DATA")
    remotes = remotes_of(name, row.remotes, row.where)
    with say.progress(None, f"fetching {name}") as update:

        def megabytes(done: int, total: int, what: str) -> None:
            update(done // 1_000_000, "MB", total // 1_000_000 or None, what)

        fetched = fetch(remotes, root, megabytes, again=again)
    unchecked = [r.name for r in remotes if not r.md5]
    if as_json:
        say.print_json({"data": name, "root": str(root), "fetched": fetched, "unchecked": unchecked})
        return
    out = say.out()
    out.print(f"{name}: {len(fetched)} of {len(remotes)} files fetched into {root}; licence: {row.licence}")
    if unchecked:
        out.print(f"note: no checksum is published for {', '.join(unchecked)}")
    out.print(f"next: mcu-asc data check {name} --data-root {root}")


@data.command("check")
@click.argument("name")
@data_root_option
@json_option
def data_check(name: str, data_root: Path | None, as_json: bool) -> None:
    """Open data set NAME, count its clips by fold and label, and name what is missing."""
    from mcu_asc.audio.check import check_dataset

    found = check_dataset(name, data_root or paths.data_root())
    if as_json:
        say.print_json(dataclasses.asdict(found) | {"missing": [str(p) for p in found.missing]})
    else:
        _print_data(found)
    if not found.whole:
        raise UsageError(
            f"{name} is not the whole release: {len(found.missing)} files are missing, "
            f"{len(found.differences)} counts differ",
            "mcu-asc data fetch gets what is missing, where it can be fetched",
        )


def _print_data(found: DataCheck) -> None:
    from rich.table import Table

    out = say.out()
    title = f"{found.name}: {found.clips:,} clips of {found.groups:,} recordings"
    table = Table(title=title, title_justify="left")
    table.add_column("label")
    for fold in found.folds:
        table.add_column(f"fold {fold}", justify="right")
    for label, counts in found.labels.items():
        table.add_row(label, *(f"{counts.get(fold, 0):,}" for fold in found.folds))
    table.add_row("clips", *(f"{n:,}" for n in found.folds.values()))
    out.print(table)
    for what, names in (("devices", found.devices), ("cities", found.cities)):
        if names:
            out.print(f"{what}: {', '.join(names)}")
    for path in found.missing:
        out.print(f"missing: {path}", markup=False)
    for sentence in found.differences:
        out.print(f"differs: {sentence}", markup=False)
    if found.whole:
        out.print("whole")
