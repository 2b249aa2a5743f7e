"""From two witnesses' answers to what every engine is held against, call by call; and where the two part."""

from __future__ import annotations

__all__ = ["Doubts", "expect_calls", "find_differences", "find_doubts", "measure_errors", "narrow_calls"]

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import is_float, type_name
from toolkit.parity.agreement import RoundingLimits
from toolkit.parity.references.feed_bounds import bound_calls
from toolkit.parity.references.feeds import FeedExpectation
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.runtimes.base import Arrays

Errors = Mapping[str, float]


class Doubts(NamedTuple):
    """Where the error of ONNX Runtime against float64 is more than rounding explains at once.

    Attributes:
        calls: numbers of the calls with any such error: a bound at its cap, another whole number, infinity elsewhere.
        parted: the first output, and its call, that differ by more than any rounding; empty where none does.
    """

    calls: tuple[int, ...]
    parted: str


def measure_errors(own: Sequence[Arrays], exact: Sequence[Arrays]) -> list[dict[str, float]]:
    """Return the largest absolute error of every output of floats; infinite where the shapes differ."""
    return [
        {name: _error(array, right[name]) for name, array in seen.items() if is_float(array.dtype)}
        for seen, right in zip(own, exact, strict=True)
    ]


def expect_calls(
    sets: Sequence[FeedSet],
    exact: Sequence[Arrays],
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
    bounds = bound_calls(narrow_calls(exact, own), errors, limits)
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
