"""The verdict on one call of a stranger's file: names, shapes and types, what is finite, values, whole numbers."""

from __future__ import annotations

__all__ = ["judge_feeds"]

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import type_name
from toolkit.runtimes.agreement import Agreement
from toolkit.runtimes.base import Arrays

if TYPE_CHECKING:
    from toolkit.parity.references.feeds import FeedExpectation


def judge_feeds(outputs: Arrays, expected: FeedExpectation) -> Agreement:
    """Compare an engine's outputs with the reference; all failures are gathered.

    A number that is not finite has to be the same one at the same place as in the reference, but where float32 itself
    does not decide.

    Args:
        outputs: by name.
        expected: of the same call.
    """
    problems = _check_form(outputs, expected)
    if problems:
        return Agreement(bound=expected.bound, failures=tuple(problems))
    floats = [_judge_floats(name, outputs[name], expected) for name in expected.bounds]
    whole = [_judge_whole(name, outputs[name], expected) for name in expected.outputs if name not in expected.bounds]
    decided = [item for name, item in zip(expected.bounds, floats, strict=True) if name not in expected.reach] or floats
    nearest = max(decided, key=_share_of_bound, default=Agreement(max_abs_logit_error=0.0, bound=expected.bound))
    return Agreement(
        max_abs_logit_error=nearest.max_abs_logit_error,
        bound=nearest.bound,
        flips=sum(item.flips for item in whole),
        flips_excused=sum(item.flips_excused for item in whole),
        worst_index=nearest.worst_index,
        failures=tuple(text for item in (*floats, *whole) for text in item.failures),
        unclear=tuple(text for item in floats for text in item.unclear),
    )


def _check_form(outputs: Arrays, expected: FeedExpectation) -> list[str]:
    problems = [f"output {name!r} is missing" for name in expected.outputs if name not in outputs]
    problems += [f"output {name!r} is not declared by the file" for name in outputs if name not in expected.outputs]
    for name, right in expected.outputs.items():
        if name not in outputs:
            continue
        seen, shape, dtype = type_name(outputs[name].dtype), outputs[name].shape, expected.dtypes[name]
        if (seen, shape) != (dtype, right.shape):
            problems.append(f"{name!r} is {seen} {list(shape)}; expected {dtype} {list(right.shape)}")
    return problems


def _judge_floats(name: str, array: NDArray[Any], expected: FeedExpectation) -> Agreement:
    right, bound = expected.outputs[name], expected.bounds[name]
    seen = array.astype(np.float64)
    decided, finite = ~expected.undecided[name], np.isfinite(right)
    strange = np.where(finite, ~np.isfinite(seen), ~_is_same(seen, right)) & decided
    if strange.any():
        place = np.unravel_index(int(strange.argmax()), strange.shape)
        text = f"{name!r} is {seen[place]} at {[int(item) for item in place]}; the reference has {right[place]:.6g}"
        return Agreement(bound=bound, failures=(f"{text} ({int(strange.sum())} such numbers)",))
    compared = finite & decided
    error = np.abs(np.where(compared, seen, 0.0) - np.where(compared, right, 0.0))
    worst = float(error.max(initial=0.0))
    allowed = expected.reach.get(name, bound)  # where the bound is at its cap, what is between decides nothing
    text = f"{name!r} differs by {worst:.3g}; rounding explains {allowed:.3g}"
    is_step = allowed < worst <= expected.steps.get(name, 0.0)
    failures = () if worst <= allowed or is_step else (text,)
    unclear = (f"{text}, and what the file itself rounds to may explain more",) if is_step else ()
    item = int(np.unravel_index(int(error.argmax()), error.shape)[0]) if error.ndim and error.size else 0
    return Agreement(max_abs_logit_error=worst, bound=allowed, worst_index=item, failures=failures, unclear=unclear)


def _judge_whole(name: str, array: NDArray[Any], expected: FeedExpectation) -> Agreement:
    differs = np.asarray(array != expected.outputs[name])
    wrong = differs & ~expected.undecided[name]
    failures: tuple[str, ...] = ()
    if wrong.any():
        kind = "strings" if array.dtype.kind == "U" else "numbers"
        failures = (f"{int(wrong.sum())} of {wrong.size} {kind} of {name!r} differ from the reference",)
    return Agreement(
        bound=0.0, flips=int(differs.sum()), flips_excused=int((differs & ~wrong).sum()), failures=failures
    )


def _is_same(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (one == other) | (np.isnan(one) & np.isnan(other))
    return same


def _share_of_bound(item: Agreement) -> float:
    return float("inf") if item.max_abs_logit_error is None else item.max_abs_logit_error / item.bound
