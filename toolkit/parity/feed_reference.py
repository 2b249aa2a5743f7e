"""What is known of a stranger's file before any engine is judged: its answers in float64, and the bound.

The bound is no formula: it is 16 times what float32 itself does, in unoptimised ONNX Runtime, relative to the largest
number of an output.
"""

from __future__ import annotations

__all__ = ["FeedExpectation", "FeedsReference", "compute_feeds_reference"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import CheckFailedError, ModelError, WorkerError
from toolkit.parity.feeds import FeedSet
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.process import WorkerRuntime, blame_the_file
from toolkit.runtimes.source import ModelSource

BASELINE_FACTOR = 16.0
# Below four units in the last place of an output's largest number nothing can be told from luck.
FLOOR_UNITS = 4
# An output that is zero by cancellation still carries the rounding of what was cancelled.
LEAST_SCALE = 2.0**-10
# A call whose answers are this much smaller than the others' is made of such zeros: a constant image after a
# normalisation, say. Its error is a share of nothing, and is held against the other calls' size.
CANCELLED = 2.0**-6
# More than this share of an output's largest number is no rounding, in float16 or in 8 bits either.
LARGEST_ROUNDING = 0.05
# Where float32 leaves more than this share of an output open, the two that make the reference compute something else.
MOST_UNDECIDED = 0.25
TIMEOUT_S = 600.0
AT_MOST = f"(at most {LARGEST_ROUNDING:g} of an output's largest number)"
RULES = {
    "onnx-float64": f"{BASELINE_FACTOR:g} x the error of unoptimised ONNX Runtime against onnx-float64 {AT_MOST}",
    "ort-unoptimised": (
        f"{BASELINE_FACTOR:g} x the change when weights and inputs move by one unit in the last place {AT_MOST}"
    ),
}

Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedExpectation:
    """The known answers of one call.

    Attributes:
        name: of the feed set.
        feeds: every input by name.
        outputs: every output by name; floats as float64, whole numbers as they are.
        dtypes: the element type that each output has in the file.
        bounds: for each output of floats, the largest absolute error that rounding explains.
        undecided: for each output, where float32 itself does not give the reference's whole number, or is finite and
            the reference is not, or the other way round.
    """

    name: str
    feeds: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]
    dtypes: dict[str, str]
    bounds: dict[str, float]
    undecided: dict[str, NDArray[np.bool_]]

    @property
    def batch(self) -> int:
        """The first size of the first input, 1 where it has none."""
        first = next(iter(self.feeds.values()), np.zeros(()))
        return first.shape[0] if first.ndim else 1

    @property
    def bound(self) -> float:
        """The largest of the bounds; 0 where nothing is a float."""
        return max(self.bounds.values(), default=0.0)

    def __len__(self) -> int:
        return self.batch


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedsReference:
    """The reference of a whole check of a stranger's file.

    Attributes:
        kind: `onnx-float64`, or `ort-unoptimised` where ONNX's evaluator cannot run the file in float64.
        rule: how the bound was made.
        why_not_float64: what the evaluator said; empty where it ran.
        suites: one entry for each call.
    """

    kind: str
    rule: str
    why_not_float64: str = ""
    suites: tuple[FeedExpectation, ...]


def compute_feeds_reference(source: ModelSource, sets: tuple[FeedSet, ...]) -> FeedsReference:
    """Answer every call in float64, and measure what float32 makes of it.

    Raises:
        ModelError: unoptimised ONNX Runtime cannot run the file, or answers the same call differently twice.
        CheckFailedError: ONNX Runtime and ONNX's evaluator differ by more than rounding, or nothing can be compared.
    """
    baseline = _baseline(source, sets)
    try:
        exact, why_not = _run_all(source, RuntimeSettings(runtime="onnx-widened"), sets), ""
    except (ModelError, WorkerError) as error:
        exact, why_not = None, str(error)
    if exact is None:
        kind, exact = "ort-unoptimised", baseline
        errors = [
            {name: float(array) for name, array in distances.items()}
            for distances in _run_all(source, RuntimeSettings(runtime="ort-jittered"), sets)
        ]
    else:
        kind = "onnx-float64"
        errors = [_errors(one, other) for one, other in zip(baseline, exact, strict=True)]
    bounds = _bounds(baseline, errors)
    entries = zip(sets, exact, baseline, bounds, strict=True)
    suites = tuple(_expect(feed, right, seen, own) for feed, right, seen, own in entries)
    _require_decided(suites)
    return FeedsReference(kind=kind, rule=RULES[kind], why_not_float64=why_not, suites=suites)


def _baseline(source: ModelSource, sets: tuple[FeedSet, ...]) -> list[Outputs]:
    settings = RuntimeSettings(optimisation="none", threads=1)
    try:
        with blame_the_file(str(source.path)):
            first, second = _run_all(source, settings, sets), _run_all(source, settings, sets[:1])
    except ModelError as error:
        raise ModelError(f"{error}; bring inputs that suit the file with --inputs FILE.npz, or set --shape") from error
    for name, array in second[0].items():
        if not np.array_equal(array, first[0][name], equal_nan=array.dtype.kind == "f"):
            raise ModelError(f"output {name!r} differs between two runs on the same input; chance cannot be compared")
    return first


def _run_all(source: ModelSource, settings: RuntimeSettings, sets: tuple[FeedSet, ...]) -> list[Outputs]:
    with WorkerRuntime(source, settings, timeout_s=TIMEOUT_S) as worker:
        return [worker.run(feed.arrays) for feed in sets]


def _errors(seen: Outputs, exact: Outputs) -> dict[str, float]:
    found = {}
    for name, array in seen.items():
        if array.shape != exact[name].shape:
            raise ModelError(
                f"output {name!r} is {list(array.shape)} in ONNX Runtime and {list(exact[name].shape)} by ONNX's own "
                "evaluator; one of them does not follow the standard, so there is no reference"
            )
        if array.dtype.kind == "f":
            both = np.isfinite(array) & np.isfinite(exact[name])
            found[name] = float(np.abs(array[both].astype(np.float64) - exact[name][both]).max(initial=0.0))
    return found


def _bounds(baseline: list[Outputs], errors: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return the bound of every output in every call.

    The relative error is the largest of all calls, because a single one may be right by luck.

    Raises:
        CheckFailedError: the two that make the reference differ by more than rounding.
    """
    bounds: list[dict[str, float]] = [{} for _ in baseline]
    for name, array in baseline[0].items():
        if array.dtype.kind == "f":
            answers = [call[name] for call in baseline]
            own = _bound_output(name, answers, [call[name] for call in errors])
            for entry, bound in zip(bounds, own, strict=True):
                entry[name] = bound
    return bounds


def _bound_output(name: str, answers: list[NDArray[Any]], errors: list[float]) -> list[float]:
    limits = np.finfo(answers[0].dtype)
    largest = [float(np.abs(answer[np.isfinite(answer)]).max(initial=0.0)) for answer in answers]
    usual = float(np.median(largest))
    scales = [max(value, LEAST_SCALE * usual, float(limits.tiny)) for value in largest]
    cancelled = [value < CANCELLED * usual for value in largest]
    shares = [
        error / (usual if is_cancelled else scale)
        for error, scale, is_cancelled in zip(errors, scales, cancelled, strict=True)
    ]
    if max(shares) > LARGEST_ROUNDING:
        raise CheckFailedError(
            f"there is no reference: unoptimised ONNX Runtime and the reference differ by {max(shares):.2g} of the "
            f"largest number of output {name!r}, which no rounding explains; one of them computes something else"
        )
    share = max(share for share, is_cancelled in zip(shares, cancelled, strict=True) if not is_cancelled)
    allowed = max(BASELINE_FACTOR * share, FLOOR_UNITS * float(limits.eps))
    bounds = [min(allowed, LARGEST_ROUNDING) * scale for scale in scales]  # no rounding here is none in an engine
    return [
        max(bound, min(BASELINE_FACTOR * error, LARGEST_ROUNDING * usual)) if is_cancelled else bound
        for bound, error, is_cancelled in zip(bounds, errors, cancelled, strict=True)
    ]


def _expect(feed: FeedSet, exact: Outputs, seen: Outputs, bounds: dict[str, float]) -> FeedExpectation:
    return FeedExpectation(
        name=feed.name,
        feeds=feed.arrays,
        outputs={name: exact[name].astype(np.float64) if name in bounds else exact[name] for name in seen},
        dtypes={name: str(array.dtype) for name, array in seen.items()},
        bounds=bounds,
        undecided={name: np.asarray(_differ(array, exact[name])) for name, array in seen.items()},
    )


def _differ(seen: NDArray[Any], exact: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where two answers are not the same thing: another whole number, or a number here and none there."""
    if seen.dtype.kind != "f":
        return np.asarray(seen != exact)
    same = (np.isfinite(seen) & np.isfinite(exact)) | (seen == exact) | (np.isnan(seen) & np.isnan(exact))
    return np.asarray(~same)


def _require_decided(suites: tuple[FeedExpectation, ...]) -> None:
    """Refuse a reference by which an engine would pass whatever it answers.

    Raises:
        CheckFailedError: float32 leaves too much open, or no answer holds a number.
    """
    numbers = 0
    for name in suites[0].outputs:
        size = sum(item.outputs[name].size for item in suites)
        open_ones = sum(int(item.undecided[name].sum()) for item in suites)
        if open_ones > MOST_UNDECIDED * size:
            raise CheckFailedError(
                f"there is no reference: unoptimised ONNX Runtime and the reference disagree on {open_ones} of {size} "
                f"numbers of output {name!r}; one of them computes something else, or these inputs are out of range"
            )
        numbers += sum(int((np.isfinite(item.outputs[name]) & ~item.undecided[name]).sum()) for item in suites)
    if not numbers:
        raise CheckFailedError(
            "nothing can be compared: no output holds a finite number on these inputs; bring others with "
            "--inputs FILE.npz"
        )
