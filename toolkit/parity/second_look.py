"""Bounds looked at again where an engine fails: the file alone may move as far when its numbers do by one rounding."""

from __future__ import annotations

__all__ = ["look_again"]

from dataclasses import replace

import numpy as np

from toolkit.errors import ModelError, WorkerError
from toolkit.parity.agreement import LIMITS
from toolkit.parity.answers import ask_jitter
from toolkit.parity.budget import Budget
from toolkit.parity.feed_bounds import bound_calls
from toolkit.parity.feed_reference import FeedsReference
from toolkit.parity.feeds import FeedSet
from toolkit.parity.third_engines import FLOAT64, ORT
from toolkit.parity.witnesses import MOVED
from toolkit.runtimes.source import ModelSource

# Weights of fewer bits move by what no engine rounds: they are exact in all of them.
LOOKED_AT = {"fp32", "fp64"}


def look_again(source: ModelSource, reference: FeedsReference, precision: str) -> FeedsReference:
    """Return a stranger's reference whose bounds hold what one unit in the last place of weights and inputs moves.

    One run of ONNX Runtime may have been right by luck where a call is ill conditioned (silence, a constant image): no
    engine is blamed for that before the file itself was looked at. The limits stay: such a call decides nothing.

    Args:
        source: the model.
        reference: of float64 and ONNX Runtime in agreement; another one has been looked at so, and comes back as it is.
        precision: arithmetic of the file.
    """
    if reference.kind != FLOAT64 or ORT not in reference.witnesses.agree or precision not in LOOKED_AT:
        return reference
    sets = tuple(FeedSet(entry.name, entry.feeds) for entry in reference.suites)
    try:
        moved = ask_jitter(source, sets, Budget())
    except (ModelError, WorkerError):
        return reference
    suites = reference.suites[: len(moved)]
    with np.errstate(over="ignore"):  # what a narrow type cannot hold is infinite in it
        narrow = [{name: array.astype(entry.dtypes[name]) for name, array in entry.outputs.items()} for entry in suites]
    bounds = bound_calls(narrow, moved, LIMITS[precision])
    looked = []
    for entry, own in zip(suites, bounds, strict=True):
        wider = {name: max(item.bound, entry.bounds[name]) for name, item in own.items()}
        reach = {name: max(item.reach, entry.reach.get(name, 0.0)) for name, item in own.items()}
        capped = {name: value for name, value in reach.items() if value > wider[name]}
        looked.append(replace(entry, bounds=wider, reach=capped))
    rule = f"{reference.rule}; where an engine failed also {MOVED}"
    return replace(reference, rule=rule, suites=(*looked, *reference.suites[len(looked) :]))
