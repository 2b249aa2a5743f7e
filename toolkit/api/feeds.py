"""What a file without a card is fed, as a program or the command line gives it."""

from __future__ import annotations

__all__ = ["Inputs", "Shapes", "Values", "read_feeds"]

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from toolkit.errors import UsageError
from toolkit.runtimes.feed_config import FeedConfig

if TYPE_CHECKING:
    import numpy.typing as npt

    # An .npz, or its arrays by the inputs' names.
    Inputs: TypeAlias = str | os.PathLike[str] | Mapping[str, npt.NDArray[Any]]
# {"name": (2, 3)} or ["name=2,3"].
Shapes: TypeAlias = Mapping[str, Iterable[int]] | Iterable[str]
# {"name": 0.5} or ["name=0.5"].
Values: TypeAlias = Mapping[str, float | Iterable[float]] | Iterable[str]


def read_feeds(inputs: Inputs | None, shapes: Shapes | None, *, values: Values | None = None) -> FeedConfig:
    """Read where a stranger's inputs come from.

    Raises:
        DataError: the .npz cannot be read.
        UsageError: there is no such .npz, a shape is not written as name=2,3, a value not as name=0.5, or arrays are
            given too.
    """
    sizes = dict(map(_split_shape, _as_texts(shapes)))
    numbers = dict(map(_split_value, _as_texts(values)))
    if inputs is None:
        return FeedConfig(shapes=sizes, values=numbers)
    if isinstance(inputs, Mapping):
        return FeedConfig(given=inputs, shapes=sizes, values=numbers)
    path = Path(inputs)
    if not path.exists():
        raise UsageError(f"no file {path}; --inputs takes an .npz with an array for each input")
    from toolkit.data.formats.arrays import open_npz

    with open_npz(path) as arrays:
        return FeedConfig(given={name: arrays.read(name) for name in arrays.names}, shapes=sizes, values=numbers)


def _as_texts(given: Shapes | Values | None) -> Iterable[str]:
    """Return what was given as it would be typed, so that both have one reader."""
    if not isinstance(given, Mapping):
        return given or ()
    return [
        f"{name}={','.join(map(str, item)) if isinstance(item, Iterable) else item}" for name, item in given.items()
    ]


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
