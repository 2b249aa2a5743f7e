"""Inputs of any model, made from what it declares, or given by the user."""

from __future__ import annotations

__all__ = ["DRAWS", "check_given", "has_open_batch", "make_inputs"]

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError, suggest
from toolkit.runtimes.base import Arrays, TensorSpec
from toolkit.runtimes.feed_config import FeedConfig

SEED = 20_261_125
MADE_CAP_BYTES = 1 << 30
BYTES_AT_MOST = 8

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]
DRAWS: dict[str, Draw] = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "uniform": lambda generator, shape: generator.random(shape),
    "wide": lambda generator, shape: generator.standard_normal(shape) * 10,
    "zeros": lambda _, shape: np.zeros(shape),
    "ones": lambda _, shape: np.ones(shape),
}


def check_given(inputs: tuple[TensorSpec, ...], given: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays that a user gave, in the order of the inputs.

    Raises:
        UsageError: one is missing, unknown, of another type or shape.
    """
    names = [spec.name for spec in inputs]
    if set(given) != set(names):
        raise UsageError(f"the arrays given are {sorted(given)}; the file's inputs are {sorted(names)}")
    for spec in inputs:
        problem = spec.explain_mismatch(given[spec.name])
        if problem:
            raise UsageError(f"the array given for {problem}")
    return {name: given[name] for name in names}


def has_open_batch(inputs: tuple[TensorSpec, ...], config: FeedConfig) -> bool:
    """Tell whether the first size of every input is open, and the user has not set any."""
    firsts = {spec.shape[0] if spec.shape else 0 for spec in inputs if spec.name not in config.shapes}
    return not config.shapes and len(firsts) == 1 and not isinstance(next(iter(firsts)), int)


def make_inputs(
    inputs: tuple[TensorSpec, ...], config: FeedConfig, draw: str, *, batch: int
) -> dict[str, NDArray[Any]]:
    """Return the inputs of one call, the same ones every time.

    Floats are drawn; whole numbers of 8 bits lie anywhere in their range, wider ones are 0 or 1, valid indices
    nearly everywhere. A first size that is open becomes `batch`.

    Args:
        inputs: what the file declares.
        config: shapes that the user has set.
        draw: a key of `DRAWS`; `zeros` and `ones` hold for whole numbers too.
        batch: for a first size that is open.

    Raises:
        UsageError: a shape is of an unknown input or does not fit, sizes are open that only the user can know, an input
            is not of numbers or over 1 GB.
    """
    for name in config.shapes:
        if name not in {spec.name for spec in inputs}:
            raise UsageError(f"--shape names the input {name!r}{suggest(name, [spec.name for spec in inputs])}")
    generator = np.random.default_rng([SEED, batch])
    return {spec.name: _draw(spec, _shape(spec, config, batch=batch), DRAWS[draw], generator) for spec in inputs}


def _draw(spec: TensorSpec, shape: tuple[int, ...], draw: Draw, generator: np.random.Generator) -> NDArray[Any]:
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError as error:
        raise UsageError(f"input {spec.name!r} is a {spec.dtype}; inputs can be made of numbers only") from error
    if dtype.kind == "f":
        return draw(generator, shape).astype(dtype)
    fills = {DRAWS["zeros"]: 0, DRAWS["ones"]: 1}
    if draw in fills:
        return np.full(shape, fills[draw], dtype)
    if dtype.kind == "b" or dtype.itemsize > 1:
        return generator.integers(0, 2, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max + 1, shape).astype(dtype)


def _shape(spec: TensorSpec, config: FeedConfig, *, batch: int) -> tuple[int, ...]:
    shape: tuple[int | str | None, ...] | None = config.shapes.get(spec.name)
    if shape is None:
        shape = tuple(
            batch if index == 0 and not isinstance(size, int) else size for index, size in enumerate(spec.shape)
        )
        if any(not isinstance(size, int) for size in shape):
            raise UsageError(
                f"input {spec.name!r} is {spec.dtype} {list(spec.shape)}, whose sizes are open; "
                f"set them with --shape {spec.name}=2,... or bring an array with --inputs FILE.npz"
            )
    sizes = tuple(size for size in shape if isinstance(size, int))
    fits = len(sizes) == len(spec.shape) or not spec.shape
    if not fits or any(isinstance(want, int) and want != size for want, size in zip(spec.shape, sizes, strict=False)):
        raise UsageError(f"--shape {spec.name}={list(sizes)} does not fit what the file declares, {list(spec.shape)}")
    if np.prod(sizes, dtype=np.float64) * BYTES_AT_MOST > MADE_CAP_BYTES:
        raise UsageError(f"input {spec.name!r} of {list(sizes)} is larger than {MADE_CAP_BYTES >> 30} GB")
    return sizes
