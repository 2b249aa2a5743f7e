"""The options that are about a file without a card."""

from __future__ import annotations

__all__ = [
    "BudgetSeconds",
    "InputsPath",
    "Shapes",
    "Values",
    "read_feed_config",
]

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from toolkit.errors import UsageError
from toolkit.runtimes.feed_config import FeedConfig

BudgetSeconds = Annotated[
    float | None,
    typer.Option(
        "--budget",
        help="For a file without a card: seconds for its reference, 30 by default; what it leaves out is said.",
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


def read_feed_config(inputs: Path | None, shapes: list[str] | None, *, values: list[str] | None = None) -> FeedConfig:
    """Read where a stranger's inputs come from.

    Raises:
        DataError: the .npz cannot be read.
        UsageError: there is no such .npz, a shape is not written as name=2,3, a value not as name=0.5, or arrays are
            given too.
    """
    sizes = dict(_split_shape(text) for text in shapes or ())
    numbers = dict(_split_value(text) for text in values or ())
    if inputs is None:
        return FeedConfig(shapes=sizes, values=numbers)
    if not inputs.exists():
        raise UsageError(f"no file {inputs}; --inputs takes an .npz with an array for each input")
    from toolkit.data.formats.arrays import open_npz

    with open_npz(inputs) as arrays:
        return FeedConfig(given={name: arrays.read(name) for name in arrays.names}, shapes=sizes, values=numbers)


def _split_shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, equals, sizes = text.rpartition("=")
    parts = sizes.split(",")
    if not equals or not all(part.isascii() and part.isdigit() and 0 < int(part) < 1 << 31 for part in parts):
        raise UsageError(f"--shape {text!r} is not a name and sizes; write it as name=2,3,224,224")
    return name, tuple(int(part) for part in parts)


def _split_value(text: str) -> tuple[str, tuple[float, ...]]:
    name, equals, numbers = text.rpartition("=")
    parts = [_number(part) for part in numbers.split(",")]
    known = tuple(part for part in parts if part is not None)
    if not (name and equals) or len(known) < len(parts):
        raise UsageError(f"--value {text!r} is not a name and numbers; write it as name=16000 or name=0.5,1")
    return name, known


def _number(text: str) -> float | None:
    """Read a number; a whole one stays whole, because float64 has not all of int64's."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return None
