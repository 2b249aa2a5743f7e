"""Numbers for one input, by what the graph says that they have to be."""

from __future__ import annotations

__all__ = ["DRAWS", "draw_input", "number_type"]

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.onnx_file.element_types import SMALL_BITS, find_dtype
from toolkit.runtimes.synthetic_inputs.facts import InputFacts

# Of a sparse call so many numbers are not zero. A call of nothing but zeros, or ones, would be one at which a
# normalisation divides rounding by rounding: engines part there and none of them is wrong.
FILLED = 1 / 4
Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]
DRAWS: dict[str, Draw] = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "uniform": lambda generator, shape: generator.random(shape),
    "wide": lambda generator, shape: generator.standard_normal(shape) * 10,
    "sparse": lambda generator, shape: generator.standard_normal(shape) * (generator.random(shape) < FILLED),
    "small": lambda generator, shape: generator.standard_normal(shape) / 100,
}
# Of a range's half, what one unit of a draw stands for: most normal numbers lie inside, many wide ones at the ends.
UNIT = {"normal": 1 / 3, "wide": 1 / 10, "sparse": 1 / 3, "small": 1 / 3}


def number_type(facts: InputFacts) -> np.dtype[Any]:
    """Return the NumPy type of an input.

    Raises:
        UsageError: it is not of numbers.
    """
    try:
        dtype = find_dtype(facts.dtype)
    except TypeError as error:
        raise UsageError(
            f"input {facts.name!r} is no tensor ({facts.dtype}), and tensors alone can be fed; export the file with "
            "tensors for inputs"
        ) from error
    if dtype.kind not in "biuf" and dtype.name not in SMALL_BITS:
        raise UsageError(
            f"input {facts.name!r} is of {facts.dtype}, and inputs are made of numbers only; bring all inputs with "
            "--inputs FILE.npz"
        )
    return dtype


def _is_float(dtype: np.dtype[Any]) -> bool:
    return "float" in dtype.name


def draw_input(
    facts: InputFacts, shape: tuple[int, ...], draw: str, generator: np.random.Generator, *, longest: int
) -> NDArray[Any]:
    """Return numbers for one input.

    Indices, lengths, masks and the like are drawn alike by every draw.

    Args:
        facts: what the numbers have to be.
        shape: of the array.
        draw: a key of `DRAWS`.
        generator: where chance comes from.
        longest: what a length may be at most.

    Raises:
        UsageError: the input is not of numbers.
    """
    dtype, (role, low, high, choices) = number_type(facts), facts.need
    if role == "mask":
        return _mask(generator, shape).astype(dtype)
    if role == "length":
        return _whole(generator, shape, 1, longest, first=longest).astype(dtype)
    if role in {"index", "number"}:
        return _whole(generator, shape, int(low), int(high)).astype(dtype)
    if role == "pick":
        return generator.choice(np.array(choices), shape).astype(dtype)
    if role == "range":
        numbers = _within(low, high, DRAWS[draw](generator, shape), draw)
        return (numbers if _is_float(dtype) else np.rint(np.clip(numbers, *_limits(dtype)))).astype(dtype)
    return _free(dtype, shape, draw, generator)


def _free(dtype: np.dtype[Any], shape: tuple[int, ...], draw: str, generator: np.random.Generator) -> NDArray[Any]:
    """Draw floats; whole numbers of 8 bits in all their range, wider ones 0 or 1, valid indices nearly everywhere."""
    if _is_float(dtype):
        return DRAWS[draw](generator, shape).astype(dtype)
    if dtype.kind not in "iu" or dtype.itemsize > 1:
        return generator.integers(0, 2, shape).astype(dtype)
    numbers = generator.integers(*_limits(dtype), shape, endpoint=True)
    return (numbers * (generator.random(shape) < FILLED) if draw == "sparse" else numbers).astype(dtype)


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    limits = (0, 1) if dtype.kind not in "iu" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return int(limits[0]), int(limits[1])


def _within(low: float, high: float, numbers: NDArray[np.float64], draw: str) -> NDArray[np.float64]:
    """Move drawn numbers into the range that is asked for."""
    if draw == "uniform":
        return low + (high - low) * numbers
    return np.clip((low + high) / 2 + (high - low) / 2 * UNIT[draw] * numbers, low, high)


def _whole(
    generator: np.random.Generator, shape: tuple[int, ...], low: int, high: int, *, first: int | None = None
) -> NDArray[np.int64]:
    numbers = np.asarray(generator.integers(low, max(low, high), shape, endpoint=True))
    if first is not None and numbers.size:
        numbers.reshape(-1)[0] = first  # a view: one row is as long as the sequence, which some graphs rely on
    return numbers


def _mask(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return rows of ones and then zeros, as padding leaves them; the first row is all ones, none is all zeros."""
    if not shape or not np.prod(shape):
        return np.ones(shape, np.int64)
    lengths = _whole(generator, (int(np.prod(shape[:-1])),), 1, shape[-1], first=shape[-1])
    mask = np.arange(shape[-1]) < lengths[:, None]
    return mask.reshape(shape).astype(np.int64)
