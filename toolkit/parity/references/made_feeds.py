"""The calls on which a stranger's file is judged."""

from __future__ import annotations

__all__ = ["FeedSet", "make_feed_sets"]

from typing import Any, NamedTuple

from numpy.typing import NDArray

from toolkit.onnx_file.element_types import TensorSpec
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.synthetic_inputs.choosing import first_plan
from toolkit.runtimes.synthetic_inputs.facts import check_given, facts_of_spec
from toolkit.runtimes.synthetic_inputs.plan import DRAWS, FeedPlan

# Beside the batch of the plan: others that catch a size that was baked in.
OTHER_BATCHES = (1, 3, 7)


class FeedSet(NamedTuple):
    """The inputs of one call.

    Attributes:
        name: how they were made.
        arrays: every input by name.
    """

    name: str
    arrays: dict[str, NDArray[Any]]


def make_feed_sets(
    inputs: tuple[TensorSpec, ...], config: FeedConfig, *, plan: FeedPlan | None = None
) -> tuple[FeedSet, ...]:
    """Return the calls on which a file is judged.

    Made inputs are seeded: floats from five distributions, the rest by what the graph says of it.
    Where the number of items in a call is open it is that of the plan, and then 1, 3 and 7.

    Args:
        inputs: what the file declares.
        config: what the user gave.
        plan: sizes and numbers that were tried; by default the most sensible ones by what is declared.

    Raises:
        UsageError: an input is missing, unknown, of another type or shape, or not of numbers.
    """
    if config.given is not None:
        return (FeedSet("given", check_given(inputs, config.given)),)
    plan = plan or first_plan(tuple(facts_of_spec(spec) for spec in inputs), config)
    sets = [FeedSet(draw, plan.make(draw)) for draw in DRAWS]
    if plan.has_open_batch:
        others = [batch for batch in OTHER_BATCHES if batch != plan.batch]
        sets += [FeedSet(f"batch {batch}", plan.make(batch=batch)) for batch in others]
    return tuple(sets)
