"""`toolkit report`: results read, those of benchmarks drawn, one page of all."""

from __future__ import annotations

__all__ = ["report_command"]

from pathlib import Path
from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore, claim_outputs
from toolkit.cli.actions.report import write_page
from toolkit.cli.completion import json_files
from toolkit.cli.options import Force, OutputPath

Files = Annotated[
    list[Path], typer.Argument(help="What bench, parity, evaluate or doctor wrote (.json).", autocompletion=json_files)
]


def report_command(files: Files, output: OutputPath = None, *, force: Force = False) -> None:
    """Make one page of many results: Markdown, with a picture beside it for each model that was measured."""
    target = output or ArtifactStore.default().new_file("reports", "report", suffix=".md")
    claim_outputs(target, force=force, inputs=files)
    write_page(files, target, force=force)
