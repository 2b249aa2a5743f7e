"""What rounding explains in each output of each call of a stranger's file, from what float32 itself does there."""

from __future__ import annotations

__all__ = ["OutputBound", "bound_calls", "describe_limit"]

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import float_limits, is_float
from toolkit.parity.agreement import LIMITS, RoundingLimits, probability_share
from toolkit.runtimes.base import Arrays

# Below four units in the last place of an output's largest number nothing can be told from luck.
FLOOR_UNITS = 4
# An output that is zero by cancellation still carries the rounding of what was cancelled.
LEAST_SCALE = 2.0**-10
# A call whose answers are this much smaller than the others' is made of such zeros: a constant image after a
# normalisation, say. Its error is a share of nothing, and is held against the other calls' size.
CANCELLED = 2.0**-6
# Outputs of floats whose own rounding is coarser than float32's.
ARITHMETICS = {"float16": "fp16", "bfloat16": "bf16"}


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


def bound_calls(
    answers: Sequence[Arrays], errors: Sequence[Mapping[str, float]], limits: RoundingLimits
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
            own = _bound_output([call[name] for call in answers], [call[name] for call in errors], limits)
            for entry, bound in zip(bounds, own, strict=True):
                entry[name] = bound
    return bounds


def describe_limit(limits: RoundingLimits) -> str:
    """Return the cap of every bound in words."""
    return f"at most {limits.file:.2g} of an output's largest number, where it decides nothing"


def _lies_in_unit(answer: NDArray[Any]) -> bool:
    finite = answer[np.isfinite(answer)]
    return bool(((finite >= 0) & (finite <= 1)).all())


def _bound_output(answers: list[NDArray[Any]], errors: list[float], limits: RoundingLimits) -> list[OutputBound]:
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
