"""The calls on which a stranger's file is judged."""

from __future__ import annotations

__all__ = ["FeedSet", "make_feed_sets"]

from typing import Any, NamedTuple

from numpy.typing import NDArray

from toolkit.runtimes.base import TensorSpec
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.made_inputs import DRAWS, check_given, has_open_batch, make_inputs

# Main batch, then others that catch a size that was baked in.
BATCHES = (2, 1, 3, 7)


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
        return (FeedSet("given", check_given(inputs, config.given)),)
    batches = BATCHES if has_open_batch(inputs, config) else BATCHES[:1]
    sets = [FeedSet(draw, make_inputs(inputs, config, draw, batch=batches[0])) for draw in DRAWS]
    sets += [FeedSet(f"batch {batch}", make_inputs(inputs, config, "normal", batch=batch)) for batch in batches[1:]]
    return tuple(sets)
