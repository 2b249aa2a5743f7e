"""The first node whose output leaves the bound: where an engine goes wrong, or where a file is not its run any more."""

from __future__ import annotations

__all__ = ["Finding", "bisect_engine", "bisect_file"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError, WorkerError
from toolkit.onnx_file.cutting import InnerTensor, cut_model, list_inner_tensors, list_inputs
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.witnesses import compute_feeds_reference
from toolkit.parity.trial import make_trial, run_trials
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.workers.client import Opener, open_worker
from toolkit.runtimes.workers.time_limits import ANSWER_S

# Both graphs are computed in float64; more than this share of a tensor's largest number is another number.
SAME = 1e-9

# What is wrong with a tensor; empty where nothing is.
Probe = Callable[[InnerTensor], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Where a computation goes wrong.

    Attributes:
        tensor: the first tensor that is wrong while what its node takes is right; None where none is.
        number: of its node among those that the output needs, from 1.
        count: of those nodes.
        problem: what is wrong with it.
    """

    tensor: InnerTensor | None
    number: int
    count: int
    problem: str

    def describe(self) -> str:
        """Return the finding in one line."""
        if self.tensor is None:
            return f"all {self.count} nodes: {self.problem}"
        takes = ", ".join(name for name in self.tensor.inputs if name)
        node = f"{self.tensor.operator} ({takes}) -> {self.tensor.name}"
        return f"node {self.number} of {self.count}, {node}: {self.problem}"


def bisect_engine(
    source: ModelSource,
    settings: RuntimeSettings,
    feeds: Arrays,
    *,
    output: str,
    precision: str = "fp32",
    opener: Opener = open_worker,
) -> Finding:
    """Find the first node that an engine computes wrongly on one call.

    The graph is cut at inner tensors, and each cut is judged as a stranger's file: against float64, within 16 times
    what unoptimised ONNX Runtime does.

    Args:
        source: the model.
        settings: the engine.
        feeds: the call.
        output: the output that is wrong.
        precision: arithmetic of the file.
        opener: opens the cuts.

    Raises:
        ModelError: there is no reference for a cut.
    """
    answers_whole = False

    def probe(tensor: InnerTensor) -> str:
        nonlocal answers_whole
        cut = cut_model(source, tensor.name)
        sets = (FeedSet("worst", _feeds_of(cut, feeds)),)
        reference = compute_feeds_reference(cut, sets, precision=precision, is_searched=False, opener=opener)
        if reference.open_question:
            raise ModelError(f"the graph cut at {tensor.name!r} has no reference: {reference.open_question}")
        (expected,) = reference.suites
        try:
            with opener(cut, settings, timeout_s=ANSWER_S) as worker:
                (outcome,) = run_trials(worker, [make_trial(expected)])
        except (ModelError, WorkerError) as error:
            if answers_whole:  # an engine that answers the whole graph fails at the cut, not at a node
                raise ModelError(f"the engine ends at the graph cut at {tensor.name!r}: {error}") from error
            return f"the engine ends at the graph cut here: {error}"
        answers_whole = answers_whole or tensor.name == output
        return "; ".join(outcome.judgement.failures)

    return _search(list_inner_tensors(source, output), probe, right="the engine agrees with the file's own float64")


def bisect_file(
    source: ModelSource, fresh: ModelSource, feeds: Arrays, *, output: str, opener: Opener = open_worker
) -> Finding:
    """Find the first node of a file whose output is not that of the same tensor in a fresh export of its run.

    Args:
        source: the file.
        fresh: exported again from the same checkpoint.
        feeds: the call.
        output: the output that is wrong.
        opener: opens the cuts of both.

    Raises:
        ModelError: the graphs share too few names to be compared.
    """
    known = {item.name for item in list_inner_tensors(fresh, output)}
    tensors = [item for item in list_inner_tensors(source, output) if item.name in known]
    if len(tensors) < 2:
        raise ModelError("the file's tensors have other names than a fresh export's; they cannot be laid side by side")

    def probe(tensor: InnerTensor) -> str:
        cuts = (cut_model(item, tensor.name) for item in (source, fresh))
        seen, right = (_in_float64(cut, feeds, opener)[tensor.name] for cut in cuts)
        if seen.shape != right.shape:
            return f"it is {list(seen.shape)}, in a fresh export {list(right.shape)}"
        apart = np.abs(seen.astype(np.float64) - right.astype(np.float64)).max(initial=0.0)
        largest = float(np.abs(right.astype(np.float64)).max(initial=0.0))
        return "" if apart <= SAME * largest else f"it differs from a fresh export's by {apart:.3g} of {largest:.3g}"

    return _search(tensors, probe, right="the file computes what a fresh export does")


def _in_float64(source: ModelSource, feeds: Arrays, opener: Opener) -> Arrays:
    with opener(source, RuntimeSettings(runtime="onnx-widened"), timeout_s=ANSWER_S) as worker:
        return worker.run(_feeds_of(source, feeds))


def _feeds_of(cut: ModelSource, feeds: Arrays) -> dict[str, NDArray[Any]]:
    return {name: feeds[name] for name in list_inputs(cut)}


def _search(tensors: Sequence[InnerTensor], probe: Probe, *, right: str) -> Finding:
    """Halve the nodes between one that is right and one that is wrong until they are neighbours.

    Neighbours in the list may lie on different branches: where a tensor that the found node takes is wrong too, the
    search goes on before that one.

    Raises:
        ModelError: no node makes the output, or a graph that is cut cannot be judged.
    """
    if not tensors:
        raise ModelError("no node makes this output: it is an input or a weight of the file")
    look = cache(lambda index: probe(tensors[index]))
    number_of = {tensor.name: index for index, tensor in enumerate(tensors)}
    if not look(len(tensors) - 1):
        return Finding(tensor=None, number=0, count=len(tensors), problem=right)
    last: int | None = len(tensors) - 1
    while last is not None:
        low, found = -1, last
        while found - low > 1:
            middle = (low + found) // 2
            low, found = (low, middle) if look(middle) else (middle, found)
        takes = sorted(number_of[name] for name in tensors[found].inputs if name in number_of)
        last = next((index for index in takes if look(index)), None)
    return Finding(tensor=tensors[found], number=found + 1, count=len(tensors), problem=look(found))
