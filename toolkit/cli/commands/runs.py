"""`toolkit runs`."""

from __future__ import annotations

__all__ = ["runs_command"]

import sys
from pathlib import Path
from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.completion import one_of, runs
from toolkit.cli.options import Json, option
from toolkit.cli.output import Output, note
from toolkit.errors import UsageError

Delete = Annotated[
    str | None, option("Delete this run's folder, after a question.", complete=one_of(runs), metavar="NAME")
]
Sure = Annotated[bool, option("Delete without a question.", "--force")]


def runs_command(delete: Delete = None, *, force: Sure = False, as_json: Json = False) -> None:
    """List the runs and the models: accuracy, recipe, what was changed, data, date, size; or delete a run."""
    from toolkit.render.runs import render_runs
    from toolkit.training.listing import list_runs

    store = ArtifactStore.default()
    if delete is not None:
        _delete(delete, store=store, force=force, output=Output(as_json=as_json))
        return
    if force:
        raise UsageError("--force belongs to --delete")
    listed = list_runs(store)
    Output(as_json=as_json).report(listed.to_json(), *render_runs(listed))


def _delete(name: str, *, store: ArtifactStore, force: bool, output: Output) -> None:
    """Say what goes, ask, and delete it."""
    from toolkit.render.runs import describe_deletion
    from toolkit.runs.deletion import delete_run, find_deletable
    from toolkit.training.listing import list_runs

    path = find_deletable(name, store=store)
    listed = list_runs(store)
    run = next(row for row in listed.runs if row.name == path.name)
    successor = next((row.name for row in listed.runs if row.state == "done" and row.name != run.name), None)
    for line in describe_deletion(run, successor=successor):
        note(line)
    if not force and not _is_sure(path):
        note("nothing was deleted")
        raise typer.Exit(1)
    delete_run(path, store=store, successor=successor)
    latest = store.latest_names()["run"] or None
    report = {
        "schema": "toolkit/runs-deleted/1",
        "deleted": str(path),
        "size_bytes": run.size_bytes,
        "models_kept": list(run.models),
        "latest_run": latest,
    }
    output.report(report, f"deleted {path}", *([f"the latest run is now {latest}"] if run.is_latest and latest else []))


def _is_sure(path: Path) -> bool:
    """Ask on the terminal.

    Raises:
        UsageError: there is none to be asked on.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"nobody can be asked whether {path} may go, because this is no terminal; add --force")
    return typer.confirm("delete it?", err=True)
