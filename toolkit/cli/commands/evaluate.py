"""`toolkit evaluate`."""

from __future__ import annotations

__all__ = ["evaluate_command"]

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.completion import runs_or_models
from toolkit.cli.options import DataName, Json, Provider, option
from toolkit.cli.output import Output

Target = Annotated[
    Path | None,
    typer.Argument(
        help="A run folder, a run's name, or an .onnx file.",
        show_default="the latest run",
        autocompletion=runs_or_models,
    ),
]
Against = Annotated[
    Path | None, option("Another run or .onnx file to compare with, image by image.", complete=runs_or_models)
]


def evaluate_command(
    target: Target = None,
    data: DataName = None,
    *,
    provider: Provider = "cpu",
    against: Against = None,
    as_json: Json = False,
) -> None:
    """Judge a run or a model file on test images. Accuracy with its interval, confusion matrix, worst mistakes."""
    from toolkit.cli.actions.evaluate import evaluate_and_report

    evaluate_and_report(target, data, provider=provider, against=against, output=Output(as_json=as_json))
