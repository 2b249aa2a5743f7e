"""The first node whose output leaves the bound: where an engine goes wrong, or where a file is not its run any more."""

from __future__ import annotations

__all__ = ["Finding", "bisect_engine", "bisect_file", "bisect_report"]

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.errors import ModelError, ResourceError, ToolkitError, WorkerError
from toolkit.onnx_file.cutting import InnerTensor, cut_model, list_inner_tensors, list_inputs
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.witnesses import compute_feeds_reference
from toolkit.parity.report import ParityReport, WorstSample
from toolkit.parity.trial import make_trial, run_trials
from toolkit.plain import to_plain
from toolkit.programs import run_program
from toolkit.progress import OnNote
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.registry import find_runtime
from toolkit.runtimes.workers.client import Opener, open_worker
from toolkit.runtimes.workers.time_limits import ANSWER_S, EXPORT_S

# A quantised file depends on images that were drawn for it: another one is not the same graph.
EXPORTED = ("fp32", "fp16")
# Both graphs are computed in float64; more than this share of a tensor's largest number is another number.
SAME = 1e-9

# What is wrong with a tensor; empty where nothing is.
FaultOf = Callable[[InnerTensor], str]


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
            return f"of {count_of(self.count, 'node')} all: {self.problem}"
        takes = ", ".join(name for name in self.tensor.inputs if name)
        node = f"{self.tensor.operator} ({takes}) -> {self.tensor.name}"
        return f"node {self.number} of {self.count}, {node}: {self.problem}"


def bisect_report(
    report: ParityReport, source: ModelSource, *, opener: Opener = open_worker, say: OnNote = lambda _: None
) -> ParityReport:
    """Return the report with the first node whose output leaves the bound in its first failed row.

    A file that is not its run any more is laid beside a fresh export; an engine is held against float64.

    Args:
        report: of the whole matrix.
        source: the model, with its run where there is one.
        opener: opens parts of it.
        say: told in a line what is done, or why there is no answer.
    """
    failed = [row for row in report.rows if row.status == "fail" and row.worst is not None]
    row = next((row for row in failed if not find_runtime(row.runtime).is_remote), None)
    if row is None or (worst := row.worst) is None:
        seen = "a server is asked for the whole of its own file" if failed else "no failed row has a sample"
        say(f"--bisect: {seen}; nothing can be run again node by node")
        return report
    say("looking for the first node that is wrong")
    try:
        is_of_file = any(cause.startswith("the file") for cause in row.causes)
        # Fewer bits than the file's are asked for in float32 files only; the row then names those.
        precision = row.precision if worst.settings.arithmetic == "fp32" else "fp32"
        finding = _bisect(worst, source, precision=precision, is_of_file=is_of_file, opener=opener)
    except ToolkitError as error:
        say(f"--bisect ends without an answer: {error}")
        return report
    return replace(report, bisect={"runtime": row.runtime, **to_plain(finding), "words": finding.describe()})


def bisect_engine(
    source: ModelSource,
    settings: RuntimeSettings,
    *,
    feeds: Arrays,
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

    def fault_of(tensor: InnerTensor) -> str:
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
        return "; ".join(outcome.agreement.failures)

    return _search(list_inner_tensors(source, output), fault_of, right="the engine agrees with the file's own float64")


def bisect_file(
    source: ModelSource, fresh: ModelSource, *, feeds: Arrays, output: str, opener: Opener = open_worker
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

    def fault_of(tensor: InnerTensor) -> str:
        cuts = (cut_model(item, tensor.name) for item in (source, fresh))
        seen, right = (_in_float64(cut, feeds, opener=opener)[tensor.name] for cut in cuts)
        if seen.shape != right.shape:
            return f"it is {list(seen.shape)}, in a fresh export {list(right.shape)}"
        apart = np.abs(seen.astype(np.float64) - right.astype(np.float64)).max(initial=0.0)
        largest = float(np.abs(right.astype(np.float64)).max(initial=0.0))
        return "" if apart <= SAME * largest else f"it differs from a fresh export's by {apart:.3g} of {largest:.3g}"

    return _search(tensors, fault_of, right="the file computes what a fresh export does")


def _bisect(worst: WorstSample, source: ModelSource, *, precision: str, is_of_file: bool, opener: Opener) -> Finding:
    feeds, output = worst.expected.feeds, worst.failed_output
    if not is_of_file and worst.settings.arithmetic != "fp32":
        raise ModelError(
            f"{worst.settings.arithmetic} leaves float32's bound at its first product, and has none inside"
        )
    if not is_of_file:
        return bisect_engine(source, worst.settings, feeds=feeds, output=output, precision=precision, opener=opener)
    if source.run is None:
        raise ModelError("the file itself is wrong, and the run to lay it beside is not here")
    if precision not in EXPORTED:
        raise ModelError(f"the {precision} file itself is wrong; only {' and '.join(EXPORTED)} are exported again")
    with tempfile.TemporaryDirectory(prefix="toolkit-bisect-") as folder:
        fresh = _export_again(source.run, Path(folder), precision=precision)
        return bisect_file(source, fresh, feeds=feeds, output=output, opener=opener)


def _export_again(run: Path, folder: Path, *, precision: str) -> ModelSource:
    """Export a run in a process of its own, because this one does not load torch, into a folder of its own."""
    target = folder / "fresh.onnx"
    command = [sys.executable, "-P", "-m", "toolkit", "export", str(run.resolve()), "--output", str(target)]
    if precision != "fp32":
        command += ["--precision", f"fp32,{precision}"]
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder / "artifacts")}
    if words := run_program(command, environment=environment, timeout_s=EXPORT_S):
        raise ResourceError(f"the run could not be exported again: {words[-1]}")
    return ModelSource.read(target if precision == "fp32" else target.with_suffix(f".{precision}.onnx"))


def _in_float64(source: ModelSource, feeds: Arrays, *, opener: Opener) -> Arrays:
    with opener(source, RuntimeSettings(runtime="onnx-widened"), timeout_s=ANSWER_S) as worker:
        return worker.run(_feeds_of(source, feeds))


def _feeds_of(cut: ModelSource, feeds: Arrays) -> dict[str, NDArray[Any]]:
    return {name: feeds[name] for name in list_inputs(cut)}


def _search(tensors: Sequence[InnerTensor], fault_of: FaultOf, *, right: str) -> Finding:
    """Halve the nodes between one that is right and one that is wrong until they are neighbours.

    Neighbours in the list may lie on different branches: where a tensor that the found node takes is wrong too, the
    search goes on before that one.

    Raises:
        ModelError: no node makes the output, or a graph that is cut cannot be judged.
    """
    if not tensors:
        raise ModelError("no node makes this output: it is an input or a weight of the file")
    look = cache(lambda index: fault_of(tensors[index]))
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
