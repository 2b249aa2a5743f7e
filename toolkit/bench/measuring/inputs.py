"""What is fed while measuring: real digits where the card has some, given arrays, or values of the declared types."""

from __future__ import annotations

__all__ = ["Feeds", "choose_batches", "make_feeds", "try_feeds"]

import functools
import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from toolkit.bench.config import DEFAULT_BATCHES
from toolkit.card import CARD_KEY
from toolkit.errors import ToolkitError, UsageError
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.contract import golden_images
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.synthetic_inputs.choosing import choose_feeds, first_plan
from toolkit.runtimes.synthetic_inputs.facts import check_given, facts_of_spec
from toolkit.runtimes.synthetic_inputs.plan import FeedPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toolkit.bench.config import BenchConfig
    from toolkit.card import Golden
    from toolkit.onnx_file.element_types import TensorSpec
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runtimes.workers.client import Opener

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


def try_feeds(config: BenchConfig, source: ModelSource, *, opener: Opener) -> FeedPlan | None:
    """Choose what a stranger's file is fed, by a trial on unoptimised ONNX Runtime.

    Returns:
        None for a model with a card, for given arrays, and where ONNX Runtime does not open the file: the engines that
        were asked for tell why, or are fed by what the file declares.

    Raises:
        ModelError, UsageError: as `choose_feeds`.
    """
    # Searched, not parsed, which is a worker's business; a file that only holds the word is fed as it declares.
    if config.feeds.given is not None or CARD_KEY.encode() in source.model:
        return None
    reopen = functools.partial(opener, source, RuntimeSettings(optimisation="none"), timeout_s=config.timeout_s)
    with ExitStack() as stack:
        try:
            engine = stack.enter_context(reopen())
        except ToolkitError:
            return None
        return choose_feeds(engine, config.feeds, name=source.path.name, reopen=reopen)


def make_feeds(
    inputs: tuple[TensorSpec, ...],
    *,
    batch: int,
    golden: Golden | None,
    config: FeedConfig = AS_DECLARED,
    plan: FeedPlan | None = None,
) -> Feeds:
    """Make the inputs of one call; never zeros, which some kernels finish sooner.

    Args:
        inputs: the model's inputs, batch first.
        batch: items in the call, at least 1.
        golden: images of the model's card; repeated until the batch is full. Used when they fit the one input.
        config: arrays, shapes or numbers that the user gave.
        plan: sizes and numbers that were tried; by default the most sensible ones by what is declared.

    Returns:
        The arrays given; else the golden images; else what the plan makes, floats in [0, 1), the same in every run.

    Raises:
        UsageError: the model has a fixed batch of another size, the golden images would be over 1 GB, or as
            `FeedPlan.make` and `check_given`.
    """
    if config.given is not None:
        return Feeds(check_given(inputs, config.given), "given")
    if golden is not None and not config.says_anything and len(inputs) == 1 and _fits(inputs[0], golden, batch=batch):
        _check_size(golden, batch)
        images = golden_images(golden)
        return Feeds({inputs[0].name: images[np.arange(batch) % len(images)]}, "golden")
    plan = plan or _plan_of(inputs, config)
    if not plan.has_open_batch and batch != plan.batch:
        raise UsageError(f"the file takes {plan.batch} items a call, not {batch}; use --batch {plan.batch}")
    return Feeds(plan.make("uniform", batch=batch), "random")


def choose_batches(
    wanted: tuple[int, ...] | None,
    inputs: tuple[TensorSpec, ...],
    *,
    config: FeedConfig = AS_DECLARED,
    plan: FeedPlan | None = None,
    default: tuple[int, ...] = DEFAULT_BATCHES,
) -> tuple[int, ...]:
    """Return the batch sizes to measure.

    Those wanted; the one of the arrays or shapes that the user gave; the model's own where it is fixed; the default.

    Raises:
        UsageError: the arrays or shapes given have another batch than the one wanted.
    """
    own = _own_batch(config, inputs, plan=plan)
    if own is not None:
        if wanted not in {None, (own,)}:
            raise UsageError(f"the inputs given have a batch of {own}; leave out --batch")
        return (own,)
    if wanted is not None:
        return wanted
    plan = plan or _plan_of(inputs, config)
    return default if plan.has_open_batch else (plan.batch,)


def _plan_of(inputs: tuple[TensorSpec, ...], config: FeedConfig) -> FeedPlan:
    return first_plan(tuple(facts_of_spec(spec) for spec in inputs), config)


def _check_size(golden: Golden, batch: int) -> None:
    """Refuse a batch of golden images that is more than a machine should be asked to hold."""
    size = math.prod(golden.shape[1:]) * batch
    if size > INPUT_CAP_BYTES:
        raise UsageError(f"a batch of {batch:,} needs {size:,} bytes of inputs; the most is {INPUT_CAP_BYTES:,}")


def _own_batch(config: FeedConfig, inputs: tuple[TensorSpec, ...], *, plan: FeedPlan | None) -> int | None:
    """Return the batch that the user's arrays or shapes have; None where nothing was given."""
    if config.given is not None:
        firsts = {array.shape[0] for array in config.given.values() if array.ndim}
        return firsts.pop() if len(firsts) == 1 else 1
    if config.shapes:
        return (plan or _plan_of(inputs, config)).batch
    return None


def _fits(spec: TensorSpec, golden: Golden, *, batch: int) -> bool:
    sizes = (batch, *golden.shape[1:])
    same_rank = spec.dtype == "uint8" and len(spec.shape) == len(sizes)
    return same_rank and all(
        size == want for want, size in zip(spec.shape, sizes, strict=True) if isinstance(want, int)
    )
