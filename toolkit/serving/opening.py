"""A model opened for a server: on the very provider asked for, warmed with every size of call, proven by its card."""

from __future__ import annotations

__all__ = ["OpenedEngine", "call_sizes", "open_engine"]

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.card import CARD_KEY, Card
from toolkit.errors import CheckFailedError, ModelError
from toolkit.evaluation.selftest import run_selftest
from toolkit.runtimes.base import run_first
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.synthetic_inputs.choosing import choose_feeds
from toolkit.runtimes.workers.client import WorkerRuntime, blame_the_file, open_worker
from toolkit.serving.call_time import CallTime
from toolkit.serving.codec.request import ServedTensors
from toolkit.serving.codec.tensors import DATATYPES
from toolkit.serving.job import Arrays

if TYPE_CHECKING:
    from toolkit.onnx_file.element_types import TensorSpec
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runtimes.base import RuntimeSettings

# Each size of call, so that the line through their times does not hang on one that was disturbed.
WARM_CALLS = 3
# How far rows of a batch may be from the same rows alone, relative to the largest: sums in another order are rounded
# otherwise.
SAME_ROWS = 1e-3
# Of a stranger's file so many rows are held against the same rows alone: made by chance, two may well be the same.
COMPARED_ROWS = 8
MakeFeeds = Callable[[int | None], dict[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedEngine:
    """A model that may serve.

    Attributes:
        worker: the process that holds it.
        card: what the file says about itself; None for a stranger's.
        tensors: what it takes and gives.
        line: how long its calls take.
        notes: what a reader should know besides, one line each.
    """

    worker: WorkerRuntime
    card: Card | None
    tensors: ServedTensors
    line: CallTime
    notes: tuple[str, ...] = ()


def call_sizes(max_batch: int) -> tuple[int, ...]:
    """Return the sizes of call that are warmed, and on a device the only ones: powers of two, and the largest."""
    return (*(2**power for power in range(max_batch.bit_length()) if 2**power < max_batch), max_batch)


def open_engine(source: ModelSource, settings: RuntimeSettings, *, max_batch: int) -> OpenedEngine:
    """Open a model in a worker process, warm it, and hold it against its card.

    Raises:
        ModelError: the file cannot be used, or breaks the contract of its card.
        ProviderError: the provider asked for is not active, or cannot run the model.
        CheckFailedError: its golden vectors are not answered as its card says.
        ResourceError: no worker can be started.
    """
    name = source.path.name
    with blame_the_file(name):
        worker = open_worker(source, settings)
    try:
        with blame_the_file(name):
            return _prove(worker, functools.partial(open_worker, source, settings), max_batch=max_batch, name=name)
    except BaseException:
        worker.close()
        raise


def _prove(worker: WorkerRuntime, reopen: Callable[[], WorkerRuntime], *, max_batch: int, name: str) -> OpenedEngine:
    card = require_contract(worker.info, name=name) if CARD_KEY in worker.info.metadata else None
    inputs, outputs, left_out = _servable(worker.info.inputs, worker.info.outputs, name=name)
    notes = [f"output {output} of {name} is no tensor and is not served" for output in left_out]
    make = _feeds_of(worker, card, reopen=reopen, name=name)
    shares = card is not None or _rows_are_apart(worker, make, rows=max(2, min(max_batch, COMPARED_ROWS)))
    line = CallTime()
    for size in call_sizes(max_batch) if shares else (1,):
        _warm(worker, make(size if shares else None), line=line, rows=size)
    if card is not None and card.golden is not None:
        report = run_selftest(worker, card)
        if not report.passed:
            raise CheckFailedError(f"{name} does not answer its golden vectors: {report.failures[0]}; it is not served")
    tensors = ServedTensors(inputs=inputs, outputs=outputs, largest=max_batch if shares else 0)
    return OpenedEngine(worker=worker, card=card, tensors=tensors, line=line, notes=(*notes, *worker.notes))


def _servable(
    inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], *, name: str
) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec], list[str]]:
    foreign = [spec for spec in inputs if spec.dtype not in DATATYPES]
    if foreign:
        raise ModelError(f"{name}: input {foreign[0].name!r} is {foreign[0].dtype}, which the protocol has no word for")
    given = {spec.name: spec for spec in outputs if spec.dtype in DATATYPES}
    if not given:
        raise ModelError(f"{name}: none of its outputs is a tensor that the protocol has a word for")
    return {spec.name: spec for spec in inputs}, given, [spec.name for spec in outputs if spec.name not in given]


def _feeds_of(worker: WorkerRuntime, card: Card | None, *, reopen: Callable[[], WorkerRuntime], name: str) -> MakeFeeds:
    """Return what makes the inputs of a call of so many rows; None: of as many as the file says or leaves open."""
    if card is not None:
        shape = card.input.shape
        return lambda rows: {"images": np.random.default_rng(rows).integers(0, 256, (rows or 1, *shape), np.uint8)}
    plan = choose_feeds(worker, FeedConfig(), name=name, reopen=reopen)
    return lambda rows: plan.make(batch=rows)


def _rows_are_apart(worker: WorkerRuntime, make: MakeFeeds, *, rows: int) -> bool:
    """Tell whether each row of a batch is answered as it is alone, so that strangers' rows may share a call.

    Not where all rows that could be made are the same: they would be answered alike whatever the file does.
    """
    specs = (*worker.info.inputs, *worker.info.outputs)
    if any(not spec.shape or isinstance(spec.shape[0], int) for spec in specs):
        return False
    feeds = make(rows)
    if any(len(array) != rows for array in feeds.values()):  # the first axis is no axis of rows
        return False
    if all((array == array[:1]).all() for array in feeds.values()):
        return False
    try:
        together = worker.run(feeds)
        alone = [worker.run({name: array[at : at + 1] for name, array in feeds.items()}) for at in range(rows)]
    except ModelError:  # it takes one row, or several, and not the other
        return False
    return all(
        len(value) == rows and all(_is_same(value[at : at + 1], alone[at][name]) for at in range(rows))
        for name, value in together.items()
    )


def _is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.shape != other.shape or one.dtype.kind not in "fc":
        return bool(np.array_equal(one, other))
    return bool(
        np.allclose(one, other, rtol=SAME_ROWS, atol=SAME_ROWS * float(np.abs(other).max(initial=0)), equal_nan=True)
    )


def _warm(worker: WorkerRuntime, feeds: Arrays, *, line: CallTime, rows: int) -> None:
    run_first(worker, feeds)
    for _ in range(WARM_CALLS):
        start = time.perf_counter()
        worker.run(feeds)
        line.add(rows, time.perf_counter() - start)
