"""The verbs, one module each.  The only room that prints or exits; what it says comes from other rooms."""

from mcu_asc.cli.entry import cli, main

__all__ = ["cli", "main"]
