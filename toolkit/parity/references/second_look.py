"""Bounds looked at again where an engine fails: the file alone may move as far when its numbers do by one rounding."""

from __future__ import annotations

__all__ = ["look_again"]

from dataclasses import replace

import numpy as np

from toolkit.errors import ModelError, WorkerError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import Budget
from toolkit.parity.references.answers import ask_jitter, ask_roundings
from toolkit.parity.references.expectations import bound_calls, find_differences, measure_errors
from toolkit.parity.references.feeds import FeedExpectation, FeedsReference
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.rounding_limits import LIMITS, RoundingLimits
from toolkit.parity.references.third_engines import FLOAT64, ORT
from toolkit.parity.references.witnesses import MOVED
from toolkit.runtimes.workers.client import Opener

# Weights of fewer bits move by what no engine rounds: they are exact in all of them.
LOOKED_AT = {"fp32", "fp64"}
HALVES = {"fp16", "bf16"}
# Two engines that round as often, after sums in another order, have largest errors of the same size.
AS_LARGE = 2.0**0.5
ROUNDED = "what rounding each result to the file's own 16 bits makes"


def look_again(source: ModelSource, reference: FeedsReference, *, precision: str, opener: Opener) -> FeedsReference:
    """Return a stranger's reference whose bounds hold what one unit in the last place of weights and inputs moves.

    One run of ONNX Runtime may have been right by luck where a call is ill conditioned (silence, a constant image): no
    engine is blamed for that before the file itself was looked at. The limits stay: such a call decides nothing.

    Args:
        source: the model.
        reference: of float64 and ONNX Runtime in agreement; another one has been looked at so, and comes back as it is.
        precision: arithmetic of the file.
        opener: opens it.
    """
    if reference.kind != FLOAT64 or ORT not in reference.witnesses.agree or precision not in LOOKED_AT | HALVES:
        return reference
    sets = tuple(FeedSet(entry.name, entry.feeds) for entry in reference.suites)
    if precision in HALVES:
        return _look_at_halves(source, reference, sets=sets, limits=LIMITS[precision], opener=opener)
    try:
        moved = ask_jitter(source, sets, budget=Budget(), opener=opener)
    except (ModelError, WorkerError):
        return reference
    suites = reference.suites[: len(moved)]
    with np.errstate(over="ignore"):  # what a narrow type cannot hold is infinite in it
        narrow = [{name: array.astype(entry.dtypes[name]) for name, array in entry.outputs.items()} for entry in suites]
    bounds = bound_calls(narrow, moved, limits=LIMITS[precision])
    looked = []
    for entry, own in zip(suites, bounds, strict=True):
        wider = {name: max(item.bound, entry.bounds[name]) for name, item in own.items()}
        reach = {name: max(item.reach, entry.reach.get(name, 0.0)) for name, item in own.items()}
        capped = {name: value for name, value in reach.items() if value > wider[name]}
        looked.append(replace(entry, bounds=wider, reach=capped))
    rule = f"{reference.rule}; where an engine failed also {MOVED}"
    return replace(reference, rule=rule, suites=(*looked, *reference.suites[len(looked) :]))


def _look_at_halves(
    source: ModelSource, reference: FeedsReference, *, sets: tuple[FeedSet, ...], limits: RoundingLimits, opener: Opener
) -> FeedsReference:
    """Widen the bounds to what the roundings make that the file asks for and ONNX Runtime leaves out on a CPU.

    What lies between that and a few times as much decides nothing: weights in bfloat16 do as much to a small file.
    """
    try:
        rounded = ask_roundings(source, sets, budget=Budget(), opener=opener)
    except (ModelError, WorkerError):
        return reference
    suites = reference.suites[: len(rounded)]
    errors = measure_errors(rounded, [entry.outputs for entry in suites])
    usual = {name: _usual_share(name, suites, errors=errors) for name in suites[0].bounds}
    looked = []
    for entry, answer, made in zip(suites, rounded, errors, strict=True):
        largest = {name: entry.largest(name) for name in entry.bounds}
        most = {name: limits.file * largest[name] for name in entry.bounds}
        typical = {name: max(made[name], usual[name] * largest[name]) for name in entry.bounds}
        wider = {name: max(bound, min(AS_LARGE * typical[name], most[name])) for name, bound in entry.bounds.items()}
        steps = {name: min(limits.factor * typical[name], most[name]) for name in entry.bounds if typical[name]}
        undecided = {
            name: mask | find_differences(answer[name], entry.outputs[name]) for name, mask in entry.undecided.items()
        }
        looked.append(replace(entry, bounds=wider, steps=steps, undecided=undecided))
    rule = f"{reference.rule}; where an engine failed also {ROUNDED}"
    return replace(reference, rule=rule, suites=(*looked, *reference.suites[len(looked) :]))


def _usual_share(name: str, suites: tuple[FeedExpectation, ...], *, errors: list[dict[str, float]]) -> float:
    """Return the median of the calls' errors as shares of their largest numbers: one call may be right by luck."""
    shares = [
        made[name] / largest for entry, made in zip(suites, errors, strict=True) if (largest := entry.largest(name))
    ]
    return float(np.median(shares)) if shares else 0.0
