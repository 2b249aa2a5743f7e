"""The answers of a stranger's file by the two that are asked first, within a budget of time and memory."""

from __future__ import annotations

__all__ = ["WitnessAnswers", "ask_jitter", "ask_roundings", "ask_witnesses"]

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from toolkit.errors import ModelError, WorkerError
from toolkit.onnx_file.element_types import is_float
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import Budget, memory_for_reference
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.stated import state_chance_of
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.workers.client import OpenedWorker, Opener, blame_the_file
from toolkit.runtimes.workers.time_limits import REFERENCE_S

# A call that could only just begin before the budget ends is not begun.
LEAST_TIMEOUT_S = 5.0
# Of what is left, for the calls in float64; the rest is for a smaller one, or for what is asked where there is doubt.
FIRST_SHARE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessAnswers:
    """What was asked and what was said, call by call.

    Attributes:
        sets: the calls that were answered.
        own: unoptimised ONNX Runtime's answers, in the file's own arithmetic.
        exact: the float64 evaluation's; None where it gave none.
        why_not: what it said then.
        asked: names of all calls that were to be answered.
        unread: outputs that cannot be compared, and why, one line each.
    """

    sets: tuple[FeedSet, ...]
    own: list[Arrays]
    exact: list[Arrays] | None
    why_not: str = ""
    asked: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def cut(self, count: int) -> WitnessAnswers:
        """Return the first calls only."""
        exact = None if self.exact is None else self.exact[:count]
        return replace(self, sets=self.sets[:count], own=self.own[:count], exact=exact)

    def explain_left(self, budget: Budget) -> tuple[str, ...]:
        """Return what cannot be compared, and what was not asked for the budget, one line each."""
        kept = [feed.name for feed in self.sets]
        missing = [name for name in self.asked if name not in kept]
        if not missing:
            return self.unread
        left, judged = (", ".join(map(repr, names)) for names in (missing, kept))
        words = f"{budget.describe()} leaves out the calls {left} and judges {judged}; a larger --budget takes more"
        return (*self.unread, words)


def ask_witnesses(
    source: ModelSource,
    sets: tuple[FeedSet, ...],
    *,
    budget: Budget,
    opener: Opener,
    progress: ShowProgress = tell_nobody,
) -> WitnessAnswers:
    """Answer every call by unoptimised ONNX Runtime and in float64, or as many of them as the budget allows.

    Args:
        source: the model.
        sets: the calls.
        budget: for both together.
        opener: opens the file.
        progress: called with the calls answered and how many are to be, those of both.

    Raises:
        ModelError: ONNX Runtime cannot run the file, or answers the same call differently twice.
    """
    told = _count(progress, 2 * len(sets))
    asked = tuple(feed.name for feed in sets)
    sets, own, unread = _ask_own(source, sets, budget=budget, told=told, opener=opener)
    why_not, numbers, exact = "", list(range(len(own))), None
    try:
        numbers, exact = _ask_exact(source, sets, budget=budget, told=told, opener=opener)
        _require_same_form(exact, own[0])
    except ModelError as error:
        why_not, exact = str(error), None
    except WorkerError as error:
        why_not = f"it {error.args[0].removeprefix('the engine ')}; {budget.describe()} holds for it too"
    return WitnessAnswers(
        sets=tuple(sets[number] for number in numbers),
        own=[own[number] for number in numbers],
        exact=exact,
        why_not=why_not,
        asked=asked,
        unread=unread,
    )


def ask_jitter(
    source: ModelSource, sets: tuple[FeedSet, ...], *, budget: Budget, opener: Opener
) -> list[dict[str, float]]:
    """Return how far each output of floats moves when weights and inputs do by one unit in the last place.

    The first call is always asked, the others as far as the budget goes.

    Raises:
        ModelError: ONNX Runtime cannot run the file.
        WorkerError: the process ended.
    """
    with opener(source, RuntimeSettings(runtime="ort-jittered"), timeout_s=REFERENCE_S) as worker:
        moved = _run_calls(worker, sets, budget=budget, told=lambda: None)
    return [{name: float(array) for name, array in call.items()} for call in moved]


def ask_roundings(source: ModelSource, sets: tuple[FeedSet, ...], *, budget: Budget, opener: Opener) -> list[Arrays]:
    """Return the answers in float64 where every 16-bit result is rounded as the file says, in as many calls as fit.

    Raises:
        ModelError: the file cannot be evaluated so.
        WorkerError: the process ended.
    """
    return _run_exact(source, sets, budget=budget, told=lambda: None, opener=opener, runtime="onnx-rounded")


def _require_same_form(answers: list[Arrays], other: Arrays) -> None:
    if any(answer.keys() != other.keys() for answer in answers):
        raise ModelError(f"it answers with {sorted(answers[0])}, ONNX Runtime with {sorted(other)}")


def _ask_own(
    source: ModelSource, sets: tuple[FeedSet, ...], *, budget: Budget, told: Callable[[], None], opener: Opener
) -> tuple[tuple[FeedSet, ...], list[Arrays], tuple[str, ...]]:
    """Return the calls, the answers, and which outputs cannot be compared, with the reason."""
    settings = RuntimeSettings(optimisation="none", threads=1)
    try:
        with (
            blame_the_file(str(source.path)),
            opener(source, settings, timeout_s=REFERENCE_S) as worker,
        ):
            sets = _choose_calls(worker, sets, limit=budget.multiply_adds)
            first = _run_calls(worker, sets, budget=Budget(seconds=FIRST_SHARE * budget.remaining_s), told=told)
            # In the same session: what differs here is chance, not another order of additions.
            again = worker.run(sets[0].arrays)
    except ModelError as error:
        raise ModelError(f"{error}; bring inputs that suit the file with --inputs FILE.npz, or set --shape") from error
    if any(answer.keys() != again.keys() for answer in first):
        raise ModelError("an output is a tensor, a sequence or nothing in one call and something else in another")
    for name, array in again.items():
        if not np.array_equal(array, first[0][name], equal_nan=is_float(array.dtype)):
            raise ModelError(
                f"output {name!r} differs between two runs on the same input; chance cannot be compared; "
                f"{state_chance_of(source)}; export it in inference mode, or give such nodes a seed"
            )
    unread = tuple(f"output {name!r} is not compared: {why}" for name, why in worker.left_out.items())
    return sets[: len(first)], first, unread


def _choose_calls(worker: OpenedWorker, sets: tuple[FeedSet, ...], *, limit: int | None) -> tuple[FeedSet, ...]:
    """Return the first call, and of the others the smallest ones whose work fits too, in their order.

    The smallest alone where the first one's work does not fit; all where the graph does not tell their work.
    """
    if limit is None or len(sets) == 1:
        return sets
    by_shapes: dict[tuple[tuple[int, ...], ...], int | None] = {}
    works = []
    for feed in sets:
        shapes = tuple(array.shape for array in feed.arrays.values())
        if shapes not in by_shapes:
            by_shapes[shapes] = worker.count_multiply_adds(feed.arrays)
        work = by_shapes[shapes]
        if work is None:
            return sets
        works.append(work)
    if works[0] > limit:
        return (sets[works.index(min(works))],)
    left, kept = limit - works[0], {0}
    # Small calls first: each judges as much as a large one, and more of them fit.
    for number in sorted(range(1, len(sets)), key=works.__getitem__):
        if works[number] > left:
            break
        left -= works[number]
        kept.add(number)
    return tuple(feed for number, feed in enumerate(sets) if number in kept)


def _ask_exact(
    source: ModelSource, sets: tuple[FeedSet, ...], *, budget: Budget, told: Callable[[], None], opener: Opener
) -> tuple[list[int], list[Arrays]]:
    """Return the numbers of the calls that were answered in float64, and the answers.

    Where the first call takes too much time or memory, the smallest one alone is tried.
    """
    numbers = list(range(len(sets)))
    try:
        found = _run_exact(
            source, sets, budget=Budget(seconds=FIRST_SHARE * budget.remaining_s), told=told, opener=opener
        )
    except (ModelError, WorkerError) as error:
        sizes = [sum(array.nbytes for array in feed.arrays.values()) for feed in sets]
        least = sizes.index(min(sizes))
        # A process ended for its memory says nothing; an evaluator that was refused some says so in words only.
        is_too_much = isinstance(error, WorkerError) or "memory" in str(error) or "allocate" in str(error)
        if not is_too_much or sizes[least] == sizes[0]:
            raise
        numbers = [least]
        found = _run_exact(source, (sets[least],), budget=budget, told=told, opener=opener)
    return numbers[: len(found)], found


def _run_exact(
    source: ModelSource,
    sets: tuple[FeedSet, ...],
    *,
    budget: Budget,
    told: Callable[[], None],
    opener: Opener,
    runtime: str = "onnx-widened",
) -> list[Arrays]:
    settings = RuntimeSettings(runtime=runtime)
    timeout_s = min(REFERENCE_S, max(LEAST_TIMEOUT_S, budget.remaining_s))
    with opener(source, settings, timeout_s=timeout_s, memory_limit_bytes=memory_for_reference()) as worker:
        return _run_calls(worker, sets, budget=budget, told=told)


def _run_calls(
    worker: OpenedWorker, sets: tuple[FeedSet, ...], *, budget: Budget, told: Callable[[], None]
) -> list[Arrays]:
    """Run the first call, and further ones while the longest so far would still fit into the budget."""
    found: list[Arrays] = []
    longest_s = 0.0
    for feed in sets:
        if found and not budget.allows(longest_s):
            break
        start = time.monotonic()
        try:
            found.append(worker.run(feed.arrays))
        except WorkerError:
            if not found:
                raise
            break  # what was answered before it is kept
        longest_s = max(longest_s, time.monotonic() - start)
        told()
    return found


def _count(progress: ShowProgress, total: int) -> Callable[[], None]:
    done = itertools.count(1)
    return lambda: progress(next(done), total)
