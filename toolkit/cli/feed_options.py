"""The options that are about a file without a card."""

from __future__ import annotations

__all__ = [
    "BUDGET",
    "BudgetSeconds",
    "InputsPath",
    "Shapes",
    "Values",
]

from pathlib import Path
from typing import Annotated

import typer

BUDGET = "For a file without a card: seconds for its reference; what it leaves out is said."
BudgetSeconds = Annotated[
    float | None,
    typer.Option(
        "--budget",
        help=BUDGET,
        show_default="30",
    ),
]
InputsPath = Annotated[
    Path | None, typer.Option("--inputs", help="For a file without a card: an .npz with an array for each input.")
]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--shape", help="For a file without a card: an input's whole shape, as name=2,3,224,224; may be repeated."
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--value", help="For a file without a card: an input's number or numbers, as name=16000; may be repeated."
    ),
]
