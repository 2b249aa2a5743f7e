"""`toolkit runtimes`: list, install."""

from __future__ import annotations

__all__ = ["runtimes_app"]

from dataclasses import replace
from typing import Annotated

import typer

from toolkit.cli.completion import one_of, private_engines
from toolkit.cli.options import Json
from toolkit.cli.output import Output, note
from toolkit.cli.remedies import as_pasted
from toolkit.plain import to_plain

runtimes_app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="The engines of the parity matrix."
)


@runtimes_app.command("list")
def list_command(as_json: Json = False) -> None:
    """Say which engines are installed here, in which version, and what would bring the others."""
    from toolkit.render.doctor import runtimes_table
    from toolkit.runtimes.installed import list_runtimes

    rows = list_runtimes()
    report = {"schema": "toolkit/runtimes/1", "rows": to_plain(rows)}
    shown = [replace(row, install=as_pasted(row.install)) for row in rows]
    Output(as_json=as_json).report(report, runtimes_table(shown))


@runtimes_app.command("install")
def install_command(
    name: Annotated[
        str, typer.Argument(help="A runtime that lives in a private folder.", autocompletion=one_of(private_engines))
    ],
) -> None:
    """Bring an engine that cannot share this environment into a private folder of yours (TOOLKIT_RUNTIMES)."""
    from toolkit.runtimes.installed import install_private, private_packages

    note(f"installing {', '.join(private_packages(name))}")
    folder = install_private(name)
    note(f"{name} is in {folder}")
