"""Inputs tried on unoptimised ONNX Runtime before anything is judged or measured with them."""

from __future__ import annotations

__all__ = ["choose_feeds", "input_facts_of"]

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol

import numpy as np

from toolkit.errors import ModelError, WorkerError
from toolkit.plain import from_plain
from toolkit.runtimes.base import Arrays, Opened
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.synthetic_inputs.facts import InputFacts, facts_of_spec
from toolkit.runtimes.synthetic_inputs.plan import FeedPlan, possible_plans

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


def input_facts_of(opened: Vetted) -> tuple[InputFacts, ...]:
    """Return what is known of a model's inputs: by its graph where the worker read it, else by its engine."""
    told = opened.model_summary.get("inputs")
    if told is None:
        return tuple(facts_of_spec(spec) for spec in opened.info.inputs)
    return tuple(from_plain(InputFacts, value) for value in told)


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
        UsageError: what the user said does not fit, or an input is not of numbers.
    """
    plans = possible_plans(input_facts_of(opened), config)
    first = next(plans)
    first.make()  # what cannot be made at all is told before anything is tried
    if not first.is_chosen:
        return first
    strange: FeedPlan | None = None
    better = 0
    problem, started = "", time.monotonic()
    with ExitStack() as stack:
        for plan in (first, *islice(plans, MOST_TRIALS - 1)):
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
                strange = strange or settled
            better += strange is not None
            if better > MOST_BETTER or time.monotonic() - started > MOST_SECONDS:
                break
    if strange is not None:
        return strange
    raise ModelError(
        f"{name} does not run on inputs made for it: {problem}; add these with what suits it: {first.options()}; or "
        "bring arrays with --inputs FILE.npz"
    )


def _settle(plan: FeedPlan, first: FeedPlan) -> FeedPlan:
    """Return a plan that ran, with what that says of the file."""
    if not plan.has_open_batch or plan.batch == first.batch:
        return plan
    remark = f"the file declares an open batch and runs with {plan.batch} only ({first.batch} was tried)"
    return replace(plan, has_open_batch=False, remark=remark)


def _says_something(outputs: Arrays) -> bool:
    """Tell whether an answer holds whole numbers, or a finite one that is not faint."""
    known = [array for array in outputs.values() if array.dtype.kind in "biuf" and array.size]
    return any(array.dtype.kind != "f" or np.abs(array[np.isfinite(array)]).max(initial=0) > FAINT for array in known)
