"""`toolkit runtimes`: list."""

from __future__ import annotations

__all__ = ["runtimes_app"]

import typer

from toolkit.cli.options import Json
from toolkit.cli.output import Output

runtimes_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The engines of the parity matrix.")


@runtimes_app.callback()
def _root() -> None: ...


@runtimes_app.command("list")
def list_command(as_json: Json = False) -> None:
    """Say which engines are installed here, in which version, and what would bring the others."""
    from toolkit.render_runtimes import runtimes_table
    from toolkit.runtimes.listing import list_runtimes

    rows = list_runtimes()
    report = {"schema": "toolkit/runtimes/1", "rows": [row.to_json() for row in rows]}
    Output(as_json=as_json).report(report, runtimes_table(rows))
