"""No bound is so wide that a wrong answer passes: faults of 1 to 4 % in the answers of strangers of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from stranger_zoo import ZOO
from strangers import STRANGERS
from whole_parity import open_here

from toolkit.onnx_file.source import ModelSource
from toolkit.onnx_file.vetting import vet_model
from toolkit.parity.references.feeds import FeedExpectation, FeedsReference, compare_feeds
from toolkit.parity.references.made_feeds import FeedSet, make_feed_sets
from toolkit.parity.references.witnesses import compute_feeds_reference
from toolkit.parity.subject import find_precision
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.ort.runtime import OrtRuntime

KINDS = {**{name: build for name, build in STRANGERS.items() if name != "chance"}, **ZOO}
SHAPES = {"token ids": {"ids": (2, 7)}}
Outputs = dict[str, NDArray[Any]]


@cache
def _model(name: str) -> ModelSource:
    return ModelSource.in_memory(KINDS[name]().SerializeToString(), Path(f"{name}.onnx"))


_KNOWN: dict[str, FeedsReference] = {}


def reference_of(name: str) -> FeedsReference:
    if name not in _KNOWN:
        source = _model(name)
        with OrtRuntime(source, RuntimeSettings()) as runtime:
            inputs = runtime.info.inputs
        made = make_feed_sets(inputs, FeedConfig(shapes=SHAPES.get(name, {})))
        # A scalar becomes an array on its way to a worker.
        sets = tuple(
            FeedSet(item.name, {key: np.asarray(value) for key, value in item.arrays.items()}) for item in made
        )
        summary = vet_model(source.model, name=name, allow_foreign=True)
        _KNOWN[name] = compute_feeds_reference(source, sets, precision=find_precision(summary), opener=open_here)
    return _KNOWN[name]


def right_answers(name: str, entry: FeedExpectation) -> Outputs:
    session = onnxruntime.InferenceSession(_model(name).model)
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, entry.feeds), strict=True))


def times_a_wrong_constant(array: NDArray[Any]) -> NDArray[Any]:
    return (array * 1.04).astype(array.dtype)


def with_noise(array: NDArray[Any]) -> NDArray[Any]:
    noise = np.random.default_rng(3).standard_normal(array.shape) * 0.01 * np.abs(array[np.isfinite(array)]).mean()
    return (array + noise).astype(array.dtype)


def with_two_channels_swapped(array: NDArray[Any]) -> NDArray[Any]:
    axis = next(number for number in sorted(range(array.ndim), key=(1).__ne__) if array.shape[number] > 1)
    order = [1, 0, *range(2, array.shape[axis])]
    return np.take(array, order, axis=axis)


FAULTS: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    times_a_wrong_constant,
    with_noise,
    with_two_channels_swapped,
)


def faulty(outputs: Outputs, fault: Callable[[NDArray[Any]], NDArray[Any]]) -> Iterator[tuple[str, Outputs]]:
    """Yield the answers with one output of floats wrong, for every output in which the fault shows."""
    for name, array in outputs.items():
        if array.dtype.kind != "f" or (fault is with_two_channels_swapped and max(array.shape, default=1) < 2):
            continue
        wrong = np.asarray(fault(array))
        if not np.array_equal(wrong, array, equal_nan=True):
            yield name, {**outputs, name: wrong}


def test_there_are_thirty_kinds() -> None:
    assert len(KINDS) >= 30


@pytest.mark.parametrize("name", KINDS)
def test_a_right_answer_passes(name: str) -> None:
    reference = reference_of(name)
    assert reference.open_question == ""
    for entry in reference.suites:
        agreement = compare_feeds(right_answers(name, entry), entry)
        assert agreement, agreement.failures


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("name", KINDS)
def test_a_wrong_answer_fails(name: str, fault: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    seen: dict[str, list[bool]] = {}
    for entry in reference_of(name).suites:
        for output, wrong in faulty(right_answers(name, entry), fault):
            seen.setdefault(output, []).append(not compare_feeds(wrong, entry))
    assert seen or (fault is with_two_channels_swapped and name == "double and bytes")  # a single number
    # In a call of zeros a fault may make nothing of nothing; most calls tell, of every output.
    assert {name: sum(caught) > len(caught) / 2 for name, caught in seen.items()} == dict.fromkeys(seen, True)
