"""What rounding explains at most in each arithmetic, and how far two answers are apart.

Derivation: docs/decisions/0021-witnesses.md.
"""

from __future__ import annotations

__all__ = ["LIMITS", "RoundingLimits", "find_distance", "probability_share"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import is_float
from toolkit.runtimes.agreement import PROBABILITY_ROUNDING

# Where more than this share of an output's whole numbers is another, rounding is no excuse.
MOST_FLIPS = 0.25
# No limit of any arithmetic is wider.
MOST_OF_ANY = 2.0**-5
# Quantisers make numbers of at most so many bytes; wider ones are counted, not rounded.
STEP_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundingLimits:
    """What rounding can do at most in one arithmetic.

    Attributes:
        factor: how many times the error of unoptimised ONNX Runtime an engine's own order of operations may take.
        file: largest share of an output's largest number by which rounding moves a whole file's answer.
        node: the same of one node on given values.
    """

    factor: float
    file: float
    node: float


# With u the unit roundoff, n the length of a dot product and d the depth: factor x u x sqrt(n d). float32 and float64:
# n = 2^14 and d = 2^6, one node d = 1. Half types round what each of d = 2^6 nodes (bfloat16: 2^2) gives, whatever
# they add up in. 8 bits: four steps of 2^8. None may reach the 4 % that a wrong constant makes.
LIMITS = {
    "fp64": RoundingLimits(factor=16.0, file=2.0**-39, node=2.0**-42),
    "fp32": RoundingLimits(factor=16.0, file=2.0**-10, node=2.0**-13),
    "fp16": RoundingLimits(factor=4.0, file=2.0**-6, node=2.0**-8),
    "bf16": RoundingLimits(factor=4.0, file=2.0**-5, node=2.0**-6),
    "int8": RoundingLimits(factor=4.0, file=2.0**-5, node=2.0**-7),
}


def probability_share(largest: float) -> float:
    """Return the share of an output's largest number by which probabilities may differ, however small they are.

    exp and the sum in it err by a few units of 1, which is the same few units where all probabilities are small; but
    never by what a wrong constant makes.

    Args:
        largest: number of an output that lies between 0 and 1.
    """
    return min(PROBABILITY_ROUNDING / largest, MOST_OF_ANY) if largest else 0.0


def find_distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return how far two arrays are apart, as a share of the largest number of either; infinite where no number tells.

    Whole numbers are 0 apart where they are equal, those of at most 16 bits also where none differs by more than 1 and
    at most a quarter differs at all: a quantiser's step is a rounding. Numbers that are finite on one side only are
    infinitely far apart.

    Args:
        one: of any type.
        other: of the same meaning; its type may be wider.
    """
    if one.shape != other.shape:
        return float("inf")
    if not is_float(one.dtype):
        return _whole_distance(one, other)
    narrow = min((one.dtype, other.dtype), key=lambda dtype: dtype.itemsize)
    with np.errstate(over="ignore"):  # what a narrow type cannot hold is infinite in it
        left, right = (array.astype(narrow).astype(np.float64) for array in (one, other))
    finite = np.isfinite(left) & np.isfinite(right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    if (~finite & ~same).any():
        return float("inf")
    apart = float(np.abs(left[finite] - right[finite]).max(initial=0.0))
    largest = float(np.abs(np.stack([left[finite], right[finite]])).max(initial=0.0))
    return apart / largest if apart else 0.0


def _whole_distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    differs = one != other
    if not differs.any():
        return 0.0
    if one.dtype != other.dtype or one.dtype.kind not in "iu" or one.dtype.itemsize > STEP_BYTES:
        return float("inf")
    steps = np.abs(one.astype(np.int64) - other.astype(np.int64)).max()
    return 0.0 if steps <= 1 and differs.mean() <= MOST_FLIPS else float("inf")
