"""What is fed while measuring: real digits where the card has some, given arrays, or values of the declared types."""

from __future__ import annotations

__all__ = ["Feeds", "choose_batches", "make_feeds"]

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolkit.bench.config import DEFAULT_BATCHES
from toolkit.errors import UsageError
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.made_inputs import check_given, make_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from toolkit.card import Golden
    from toolkit.runtimes.base import TensorSpec

AS_DECLARED = FeedConfig()
INPUT_CAP_BYTES = 1_000_000_000


class Feeds(NamedTuple):
    """Inputs of one call.

    Attributes:
        arrays: every input by name.
        origin: `golden` (images of the card), `given` (the user's) or `random`.
    """

    arrays: dict[str, NDArray[Any]]
    origin: str


def make_feeds(
    inputs: tuple[TensorSpec, ...], *, batch: int, golden: Golden | None, config: FeedConfig = AS_DECLARED
) -> Feeds:
    """Make the inputs of one call; never zeros, which some kernels finish sooner.

    Args:
        inputs: the model's inputs, batch first.
        batch: items in the call, at least 1.
        golden: images of the model's card; repeated until the batch is full. Used when they fit the one input.
        config: arrays or shapes that the user gave.

    Returns:
        The arrays given; else the golden images; else random uint8 in 0..255, floats in [0, 1), wider whole numbers 0
        or 1, the same in every run.

    Raises:
        UsageError: the model has a fixed batch of another size, the golden images would be over 1 GB, or as
            `make_inputs` and `check_given`.
    """
    if config.given is not None:
        return Feeds(check_given(inputs, config.given), "given")
    if golden is not None and not config.shapes and len(inputs) == 1 and _fits(inputs[0], golden, batch=batch):
        _check_size(golden, batch)
        images = np.frombuffer(golden.images, np.uint8).reshape(golden.shape)
        return Feeds({inputs[0].name: images[np.arange(batch) % len(images)]}, "golden")
    fixed = [spec for spec in inputs if spec.shape and isinstance(spec.shape[0], int)]
    has_open = any(spec.shape and not isinstance(spec.shape[0], int) for spec in inputs)
    if fixed and not has_open and batch not in {spec.shape[0] for spec in fixed}:
        raise UsageError(
            f"input {fixed[0].name!r} has a fixed batch of {fixed[0].shape[0]}, not {batch}; "
            f"use --batch {fixed[0].shape[0]}"
        )
    return Feeds(make_inputs(inputs, config, "uniform", batch=batch), "random")


def choose_batches(
    wanted: tuple[int, ...] | None, inputs: tuple[TensorSpec, ...], config: FeedConfig = AS_DECLARED
) -> tuple[int, ...]:
    """Return the batch sizes to measure.

    Those wanted; the one of the arrays or shapes that the user gave; the model's own where it is fixed; the default.

    Raises:
        UsageError: the arrays or shapes given have another batch than the one wanted.
    """
    own = _own_batch(config)
    if own is not None:
        if wanted not in {None, (own,)}:
            raise UsageError(f"the inputs given have a batch of {own}; leave out --batch")
        return (own,)
    if wanted is not None:
        return wanted
    if any(spec.shape and not isinstance(spec.shape[0], int) for spec in inputs):
        return DEFAULT_BATCHES
    return (_agreed(spec.shape[0] for spec in inputs if spec.shape),)


def _check_size(golden: Golden, batch: int) -> None:
    """Refuse a batch of golden images that is more than a machine should be asked to hold."""
    size = math.prod(golden.shape[1:]) * batch
    if size > INPUT_CAP_BYTES:
        raise UsageError(f"a batch of {batch:,} needs {size:,} bytes of inputs; the most is {INPUT_CAP_BYTES:,}")


def _own_batch(config: FeedConfig) -> int | None:
    """Return the batch that the user's arrays or shapes have; None where nothing was given."""
    if config.given is not None:
        return _agreed(array.shape[0] for array in config.given.values() if array.ndim)
    if config.shapes:
        return _agreed(shape[0] for shape in config.shapes.values() if shape)
    return None


def _agreed(sizes: Iterable[int | str | None]) -> int:
    """Return the first size that all have in common; 1, one item a call, where they have none."""
    known = {size for size in sizes if isinstance(size, int)}
    return known.pop() if len(known) == 1 else 1


def _fits(spec: TensorSpec, golden: Golden, *, batch: int) -> bool:
    sizes = (batch, *golden.shape[1:])
    same_rank = spec.dtype == "uint8" and len(spec.shape) == len(sizes)
    return same_rank and all(
        size == want for want, size in zip(spec.shape, sizes, strict=True) if isinstance(want, int)
    )
