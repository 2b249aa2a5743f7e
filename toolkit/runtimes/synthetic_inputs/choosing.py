"""Which inputs a stranger's file gets: plans, the most sensible first, tried before anything is measured with them."""

from __future__ import annotations

__all__ = ["Vetted", "choose_feeds", "first_plan"]

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from toolkit.errors import ModelError, WorkerError
from toolkit.plain import from_plain
from toolkit.runtimes.base import Arrays, Opened
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.synthetic_inputs.facts import BATCH, InputFacts, facts_of_spec, told_shapes
from toolkit.runtimes.synthetic_inputs.plan import FeedPlan
from toolkit.runtimes.synthetic_inputs.sizes import OpenSizes

MOST_TRIALS = 40
# After one that ran but hardly answered.
MOST_BETTER = 8
# Where no number of an output is larger, it is a detector that has seen nothing, and an engine that answers 0 is right.
FAINT = 1e-3
# Trials that fail do so early; a file that computes long before it does is asked about after this.
MOST_SECONDS = 20.0


class Vetted(Opened, Protocol):
    """A model opened in a worker, with what `vet_model` told of its file."""

    model_summary: dict[str, Any]


def choose_feeds(
    opened: Vetted, config: FeedConfig, *, name: str, reopen: Callable[[], AbstractContextManager[Vetted]]
) -> FeedPlan:
    """Return the first plan that runs and answers with more than noise; the first of all where nothing is left open.

    Args:
        opened: the model in ONNX Runtime, unoptimised.
        config: what the user said; without arrays.
        name: the file's name, for messages.
        reopen: opens it again, after a trial that crashed.

    Raises:
        ModelError: it runs with none of them.
        UsageError: what the user said does not fit, or an input is neither of numbers nor of strings.
    """
    plans = _possible_plans(_input_facts_of(opened), config)
    first = next(plans)
    first.make()  # what cannot be made at all is told before anything is tried
    if not first.is_chosen:
        return first
    faint: FeedPlan | None = None  # runs, and hardly answers
    better = 0
    problem, started = "", time.monotonic()
    with ExitStack() as stack:
        for plan in (first, *itertools.islice(plans, MOST_TRIALS - 1)):
            try:
                outputs = opened.run(plan.make())
            except WorkerError as error:
                problem = problem or str(error)
                opened = stack.enter_context(reopen())
            except ModelError as error:
                problem = problem or str(error)
            else:
                settled = _settle(plan, first)
                if _says_something(outputs):
                    return settled
                faint = faint or settled
            better += faint is not None
            if better > MOST_BETTER or time.monotonic() - started > MOST_SECONDS:
                break
    if faint is not None:
        return faint
    raise ModelError(
        f"{name} does not run on inputs made for it: {problem}; add these with what suits it: {first.options()}; or "
        "bring arrays with --inputs FILE.npz"
    )


def first_plan(facts: tuple[InputFacts, ...], config: FeedConfig) -> FeedPlan:
    """Return the most sensible plan, untried; raises as `_possible_plans`."""
    return next(_possible_plans(facts, config))


def _input_facts_of(opened: Vetted) -> tuple[InputFacts, ...]:
    """Return what is known of a model's inputs: by its graph where the worker read it, else by its engine."""
    told = opened.model_summary.get("inputs")
    if told is None:
        return tuple(facts_of_spec(spec) for spec in opened.info.inputs)
    return tuple(from_plain(InputFacts, value) for value in told)


def _possible_plans(facts: tuple[InputFacts, ...], config: FeedConfig) -> Iterator[FeedPlan]:
    """Yield plans for a file's inputs, the most sensible first; what the user said holds in all of them.

    Raises:
        UsageError: the user names an input that is not there, or a shape or number that does not fit.
    """
    shapes = told_shapes(facts, config)
    config = FeedConfig(shapes=shapes, values=config.values)
    open_sizes = OpenSizes.of(facts)
    known = _known_sizes(open_sizes, shapes)
    batch = next((size for key, size in known.items() if open_sizes.roles[key] == BATCH), None)
    has_open_batch = open_sizes.has_batch and not shapes
    for numbers in _choices(facts, config):
        for guess in open_sizes.guesses(batch):
            yield FeedPlan(
                facts=facts,
                config=config,
                open_sizes=open_sizes,
                sizes=open_sizes.sizes(guess, known),
                numbers=numbers,
                has_open_batch=has_open_batch,
            )


def _known_sizes(open_sizes: OpenSizes, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the open sizes that the user's shapes tell; the first to name one holds, and one batch is every batch."""
    known: dict[str, int] = {}
    for (name, index), key in open_sizes.keys.items():
        if name in shapes and index < len(shapes[name]):
            known.setdefault(key, shapes[name][index])
    return known


def _choices(facts: tuple[InputFacts, ...], config: FeedConfig) -> Iterator[dict[str, float]]:
    """Yield a number for every input that is a setting, the constants that a graph compares it with in their order."""
    free = {item.name: item.need.choices for item in facts if _is_setting(item) and item.name not in config.values}
    for numbers in itertools.product(*free.values()):
        yield dict(zip(free, numbers, strict=True))


def _is_setting(item: InputFacts) -> bool:
    is_single = item.axes is not None and all(axis.size == 1 for axis in item.axes)
    return item.need.role == "fill" or (item.need.role == "pick" and is_single)


def _settle(plan: FeedPlan, first: FeedPlan) -> FeedPlan:
    """Return a plan that ran, with what that says of the file."""
    if not plan.has_open_batch or plan.batch == first.batch:
        return plan
    remark = f"the file declares an open batch and runs with {plan.batch} only ({first.batch} was tried)"
    return replace(plan, has_open_batch=False, remark=remark)


def _says_something(outputs: Arrays) -> bool:
    """Tell whether an answer holds whole numbers, strings, or a finite number that is not faint."""
    known = [array for array in outputs.values() if array.dtype.kind in "biufU" and array.size]
    return any(array.dtype.kind != "f" or np.abs(array[np.isfinite(array)]).max(initial=0) > FAINT for array in known)
