"""Inputs for a stranger's file, made from what it declares, or given."""

from __future__ import annotations

__all__ = ["FeedSet", "make_feed_sets"]

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError, suggest
from toolkit.parity.feed_config import FeedConfig
from toolkit.runtimes.base import Arrays, TensorSpec

SEED = 20_261_125
# Main batch, then others that catch a size that was baked in.
BATCHES = (2, 1, 3, 7)
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


class FeedSet(NamedTuple):
    """The inputs of one call.

    Attributes:
        name: how they were made.
        arrays: every input by name.
    """

    name: str
    arrays: dict[str, NDArray[Any]]


def make_feed_sets(inputs: tuple[TensorSpec, ...], config: FeedConfig) -> tuple[FeedSet, ...]:
    """Return the calls on which a file is judged.

    Made inputs are seeded: numbers from three distributions, zeros and ones; small whole numbers in all their range up
    to 8 bits, else 0 or 1, which are valid indices nearly everywhere. Where the first size of every input is open it
    is 2, and then 1, 3 and 7.

    Args:
        inputs: what the file declares.
        config: what the user gave.

    Raises:
        UsageError: an input is missing, unknown, of another type or shape, or has sizes that only the user can know.
    """
    if config.given is not None:
        return (FeedSet("given", _check_given(inputs, config.given)),)
    for name in config.shapes:
        if name not in {spec.name for spec in inputs}:
            raise UsageError(f"--shape names the input {name!r}{suggest(name, [spec.name for spec in inputs])}")
    batches = BATCHES if _has_open_batch(inputs, config) else BATCHES[:1]
    sets = [FeedSet(draw, _make(inputs, config, DRAWS[draw], batch=batches[0])) for draw in DRAWS]
    sets += [FeedSet(f"batch {batch}", _make(inputs, config, DRAWS["normal"], batch=batch)) for batch in batches[1:]]
    return tuple(sets)


def _check_given(inputs: tuple[TensorSpec, ...], given: Arrays) -> dict[str, NDArray[Any]]:
    names = [spec.name for spec in inputs]
    if set(given) != set(names):
        raise UsageError(f"the arrays given are {sorted(given)}; the file's inputs are {sorted(names)}")
    for spec in inputs:
        problem = spec.explain_mismatch(given[spec.name])
        if problem:
            raise UsageError(f"the array given for {problem}")
    return {name: given[name] for name in names}


def _has_open_batch(inputs: tuple[TensorSpec, ...], config: FeedConfig) -> bool:
    firsts = {spec.shape[0] if spec.shape else 0 for spec in inputs if spec.name not in config.shapes}
    return not config.shapes and len(firsts) == 1 and not isinstance(next(iter(firsts)), int)


def _make(inputs: tuple[TensorSpec, ...], config: FeedConfig, draw: Draw, *, batch: int) -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng([SEED, batch])
    return {spec.name: _draw(spec, _shape(spec, config, batch=batch), draw, generator) for spec in inputs}


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
