"""The entry point: the table of verbs, and every error as one line and an exit code."""

from __future__ import annotations

import sys

import click

from mcu_asc.cli.about import boards, doctor, version
from mcu_asc.cli.bench import bench
from mcu_asc.cli.build import build
from mcu_asc.cli.check import check
from mcu_asc.cli.data import data
from mcu_asc.cli.export import export
from mcu_asc.cli.features import features
from mcu_asc.cli.fit import fit
from mcu_asc.cli.flash import flash
from mcu_asc.cli.import_ import import_
from mcu_asc.cli.monitor import monitor
from mcu_asc.cli.score import score
from mcu_asc.cli.train import train
from mcu_asc.errors import AscError

# In the order of the work, and of --help.
VERBS: tuple[click.Command, ...] = (
    train,
    fit,
    export,
    import_,
    data,
    check,
    build,
    flash,
    score,
    bench,
    features,
    monitor,
    boards,
    doctor,
    version,
)


class _InOrder(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error (anywhere on the line).")
def cli(debug: bool) -> None:
    """Acoustic-scene classifiers from training to a microcontroller."""


for verb in VERBS:
    cli.add_command(verb)


def main(argv: list[str] | None = None) -> None:
    """The entry point: every error becomes one line and an exit code."""
    args = sys.argv[1:] if argv is None else argv
    debug = "--debug" in args
    try:
        code = cli.main([a for a in args if a != "--debug"], prog_name="mcu-asc", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.NoArgsIsHelpError as e:
        click.echo(e.format_message())
        sys.exit(2)
    except click.ClickException as e:
        where = f" ({e.ctx.command_path} --help)" if isinstance(e, click.UsageError) and e.ctx else ""
        click.echo(f"error: {e.format_message()}{where}", err=True)
        sys.exit(e.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except AscError as e:
        if debug:
            raise
        click.echo(f"error: {e.message}" + (f" -> {e.hint}" if e.hint else ""), err=True)
        sys.exit(e.exit_code)
    except Exception as e:
        if debug:
            raise
        click.echo(
            f"error: {type(e).__name__}: {e} -> a defect of ours; run again with --debug and report it",
            err=True,
        )
        sys.exit(1)
