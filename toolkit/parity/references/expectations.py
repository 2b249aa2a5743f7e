"""From two witnesses' answers to what every engine is held against, call by call; and where the two part.

What rounding explains in an output follows from what float32 itself does in the same call.
"""

from __future__ import annotations

__all__ = [
    "Doubts",
    "OutputBound",
    "bound_calls",
    "describe_limit",
    "expect_calls",
    "find_differences",
    "find_doubts",
    "measure_errors",
    "narrow_calls",
]

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import float_limits, is_float, type_name
from toolkit.parity.references.feeds import FeedExpectation
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.rounding_limits import LIMITS, RoundingLimits, probability_share
from toolkit.runtimes.base import Arrays

Errors = Mapping[str, float]
# Below four units in the last place of an output's largest number nothing can be told from luck.
FLOOR_UNITS = 4
# An output that is zero by cancellation still carries the rounding of what was cancelled.
LEAST_SCALE = 2.0**-10
# A call whose answers are this much smaller than the others' is made of such zeros: a constant image after a
# normalisation, say. Its error is a share of nothing, and is held against the other calls' size.
CANCELLED = 2.0**-6
# Outputs of floats whose own rounding is coarser than float32's.
ARITHMETICS = {"float16": "fp16", "bfloat16": "bf16"}


class Doubts(NamedTuple):
    """Where the error of ONNX Runtime against float64 is more than rounding explains at once.

    Attributes:
        calls: numbers of the calls with any such error: a bound at its cap, another whole number, infinity elsewhere.
        parted: the first output, and its call, that differ by more than any rounding; empty where none does.
    """

    calls: tuple[int, ...]
    parted: str


class OutputBound(NamedTuple):
    """What rounding explains in one output of one call.

    Attributes:
        bound: largest absolute error that rounding explains.
        reach: what the measured error would give without the limit; over `bound` where the bound is at its cap, so that
            errors up to there are decided neither way.
    """

    bound: float
    reach: float

    @property
    def is_capped(self) -> bool:
        """Whether the bound is at its cap and decides nothing."""
        return self.reach > self.bound


def measure_errors(own: Sequence[Arrays], exact: Sequence[Arrays]) -> list[dict[str, float]]:
    """Return the largest absolute error of every output of floats; infinite where the shapes differ."""
    return [
        {name: _error(array, right[name]) for name, array in seen.items() if is_float(array.dtype)}
        for seen, right in zip(own, exact, strict=True)
    ]


def expect_calls(
    sets: Sequence[FeedSet],
    exact: Sequence[Arrays],
    *,
    own: Sequence[Arrays],
    errors: Sequence[Errors],
    limits: RoundingLimits,
) -> tuple[FeedExpectation, ...]:
    """Return what is known of every call.

    Args:
        sets: the calls.
        exact: the believed answers.
        own: what float32 itself gives: unoptimised ONNX Runtime's answers, or the believed ones.
        errors: of `own`.
        limits: of the file's arithmetic.
    """
    kinds = {name: array.dtype for name, array in own[0].items()}
    bounds = bound_calls(narrow_calls(exact, own), errors, limits=limits)
    return tuple(
        FeedExpectation(
            name=feed.name,
            feeds=feed.arrays,
            outputs={name: right[name].astype(np.float64) if name in bound else right[name] for name in kinds},
            dtypes={name: type_name(kind) for name, kind in kinds.items()},
            bounds={name: item.bound for name, item in bound.items()},
            reach={name: item.reach for name, item in bound.items() if item.is_capped},
            undecided={name: find_differences(seen[name], right[name]) for name in kinds},
        )
        for feed, right, seen, bound in zip(sets, exact, own, bounds, strict=True)
    )


def bound_calls(
    answers: Sequence[Arrays], errors: Sequence[Mapping[str, float]], *, limits: RoundingLimits
) -> list[dict[str, OutputBound]]:
    """Return the bound of every output of floats in every call.

    A call's own error counts, and the median of all calls at least, because a single one may be right by luck. What one
    call needs is never given to the others.

    Args:
        answers: unoptimised ONNX Runtime's, one entry for each call.
        errors: the largest absolute error of each output of floats, one entry for each call.
        limits: of the file's arithmetic.
    """
    bounds: list[dict[str, OutputBound]] = [{} for _ in answers]
    for name, array in answers[0].items():
        if is_float(array.dtype):
            own = _bound_output([call[name] for call in answers], [call[name] for call in errors], limits=limits)
            for entry, bound in zip(bounds, own, strict=True):
                entry[name] = bound
    return bounds


def describe_limit(limits: RoundingLimits) -> str:
    """Return the cap of every bound in words."""
    return f"at most {limits.file:.2g} of an output's largest number, where it decides nothing"


def narrow_calls(exact: Sequence[Arrays], own: Sequence[Arrays]) -> list[Arrays]:
    """Return the exact answers in the types of the others."""
    with np.errstate(over="ignore"):  # what a narrow type cannot hold is infinite in it
        return [
            {
                name: right[name].astype(array.dtype) if is_float(array.dtype) else right[name]
                for name, array in seen.items()
            }
            for right, seen in zip(exact, own, strict=True)
        ]


def find_doubts(suites: Sequence[FeedExpectation], errors: Sequence[Errors]) -> Doubts:
    """Return where the two witnesses that made the suites differ.

    Args:
        suites: of all calls.
        errors: of unoptimised ONNX Runtime.
    """
    doubtful = [
        number
        for number, entry in enumerate(suites)
        if entry.reach or any(mask.any() for mask in entry.undecided.values())
    ]
    parted = [
        f"output {name!r} in the call {entry.name!r}"
        for entry, error in zip(suites, errors, strict=True)
        for name in entry.outputs
        if error.get(name, 0.0) > entry.bounds.get(name, 0.0) or entry.is_open(name)
    ]
    return Doubts(tuple(doubtful), next(iter(parted), ""))


def find_differences(seen: NDArray[Any], exact: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where two answers are not the same thing: another whole number, or a number here and none there."""
    if seen.shape != exact.shape:
        return np.ones(exact.shape, np.bool_)
    if not is_float(seen.dtype):
        return np.asarray(seen != exact)
    same = (np.isfinite(seen) & np.isfinite(exact)) | (seen == exact) | (np.isnan(seen) & np.isnan(exact))
    return np.asarray(~same)


def _error(seen: NDArray[Any], exact: NDArray[Any]) -> float:
    if seen.shape != exact.shape:
        return float("inf")
    both = np.isfinite(seen) & np.isfinite(exact)
    return float(np.abs(seen[both].astype(np.float64) - exact[both]).max(initial=0.0))


def _bound_output(answers: list[NDArray[Any]], errors: list[float], *, limits: RoundingLimits) -> list[OutputBound]:
    kind = float_limits(answers[0].dtype)
    # A file that computes in float32 and hands out fewer bits rounds as often as those do.
    own = LIMITS[ARITHMETICS.get(answers[0].dtype.name, "fp64")]
    limits = max(limits, own, key=lambda item: item.file)
    largest = [float(np.abs(answer[np.isfinite(answer)]).max(initial=0.0)) for answer in answers]
    usual = float(np.median(largest))
    scales = [max(value, LEAST_SCALE * usual, kind.tiny) for value in largest]
    cancelled = [value < CANCELLED * usual for value in largest]
    shares = [error / scale for error, scale in zip(errors, scales, strict=True)]
    told = sorted(share for share, is_small in zip(shares, cancelled, strict=True) if not is_small)
    typical = told[(len(told) - 1) // 2]  # the lower of two: one call of two says nothing of the other
    floor = FLOOR_UNITS * kind.eps
    is_probability = all(_lies_in_unit(answer) for answer in answers)
    bounds = []
    for error, scale, is_small in zip(errors, scales, cancelled, strict=True):
        # No rounding here is none in an engine: the floor and the other calls' share hold everywhere.
        usually = max(limits.factor * typical, floor) * scale
        reach = min(max(limits.factor * error, usually), float(np.finfo(np.float64).max))
        base = usual if is_small else scale
        cap = max(limits.file, probability_share(base) if is_probability else 0.0) * base
        bounds.append(OutputBound(min(reach, max(cap, floor * scale)), reach))
    return bounds


def _lies_in_unit(answer: NDArray[Any]) -> bool:
    finite = answer[np.isfinite(answer)]
    return bool(((finite >= 0) & (finite <= 1)).all())
