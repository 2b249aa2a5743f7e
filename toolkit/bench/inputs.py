"""What is fed while measuring: real digits where the card has some, random values of the declared types elsewhere."""

from __future__ import annotations

__all__ = ["Feeds", "choose_batches", "make_feeds"]

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolkit.bench.config import DEFAULT_BATCHES
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toolkit.card import Golden
    from toolkit.runtimes.base import TensorSpec

SEED = 20_261_101
FLOATS = {"float16", "float32", "float64"}
MADE_CAP_BYTES = 4 << 30
BYTES_AT_MOST = 8


class Feeds(NamedTuple):
    """Inputs of one call.

    Attributes:
        arrays: every input by name.
        origin: `golden` (images of the card) or `random`.
    """

    arrays: dict[str, NDArray[Any]]
    origin: str


def make_feeds(inputs: tuple[TensorSpec, ...], *, batch: int, golden: Golden | None) -> Feeds:
    """Make the inputs of one call; never zeros, which some kernels finish sooner.

    Args:
        inputs: the model's inputs, batch first.
        batch: items in the call, at least 1.
        golden: images of the model's card; repeated until the batch is full. Used when they fit the one input.

    Returns:
        The golden images, or random uint8 in 0..255 and floats in [0, 1), the same in every run.

    Raises:
        UsageError: an input has a fixed batch of another size, a second symbolic size, more than 4 GB, or a type that
            has no natural random values; the message names it.
    """
    if golden is not None and len(inputs) == 1 and _fits(inputs[0], golden, batch=batch):
        images = np.frombuffer(golden.images, np.uint8).reshape(golden.shape)
        return Feeds({inputs[0].name: images[np.arange(batch) % len(images)]}, "golden")
    generator = np.random.default_rng(SEED)
    return Feeds({spec.name: _random(spec, batch, generator) for spec in inputs}, "random")


def choose_batches(wanted: tuple[int, ...] | None, inputs: tuple[TensorSpec, ...]) -> tuple[int, ...]:
    """Return the batch sizes to measure: those wanted, else the model's own where it is fixed, else the default."""
    if wanted is not None:
        return wanted
    fixed = {spec.shape[0] for spec in inputs if spec.shape and isinstance(spec.shape[0], int)}
    sizes = tuple(size for size in fixed if isinstance(size, int))
    return sizes if len(sizes) == 1 else DEFAULT_BATCHES


def _fits(spec: TensorSpec, golden: Golden, *, batch: int) -> bool:
    sizes = (batch, *golden.shape[1:])
    same_rank = spec.dtype == "uint8" and len(spec.shape) == len(sizes)
    return same_rank and all(
        size == want for want, size in zip(spec.shape, sizes, strict=True) if isinstance(want, int)
    )


def _random(spec: TensorSpec, batch: int, generator: np.random.Generator) -> NDArray[Any]:
    shape = _shape(spec, batch)
    if spec.dtype == "uint8":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    if spec.dtype in FLOATS:
        return generator.random(shape).astype(spec.dtype)
    raise UsageError(
        f"input {spec.name!r} is {spec.dtype}; a model without golden images is measured with random uint8 or float "
        "inputs, and what are sensible values of another type only its author knows"
    )


def _shape(spec: TensorSpec, batch: int) -> tuple[int, ...]:
    if not spec.shape:
        return ()
    first, rest = spec.shape[0], spec.shape[1:]
    if isinstance(first, int) and first != batch:
        raise UsageError(f"input {spec.name!r} has a fixed batch of {first}, not {batch}; use --batch {first}")
    sizes = tuple(size for size in rest if isinstance(size, int))
    if len(sizes) != len(rest):
        raise UsageError(
            f"input {spec.name!r} has shape {list(spec.shape)}: sizes after the batch are symbolic, so no input can be "
            "made for it; export the model with fixed sizes"
        )
    if math.prod((batch, *sizes)) * BYTES_AT_MOST > MADE_CAP_BYTES:
        raise UsageError(f"input {spec.name!r} of {[batch, *sizes]} is larger than {MADE_CAP_BYTES >> 30} GB")
    return (batch, *sizes)
