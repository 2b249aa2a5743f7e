"""The bound of a quantised file, for which the rounding formula is void.

A quantiser's steps are a thousand to a million times wider than a rounding error, and its errors are neither small nor
independent: a value beyond the calibrated range is cut off. So the bound is not propagated but looked up: the largest
error on known images, times two (docs/decisions/0010-int8.md).
"""

from __future__ import annotations

__all__ = ["QUANTISED_FACTOR", "bound_from_errors"]

import math

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError

# What images that nobody has seen may need beyond the largest error of those that were.
QUANTISED_FACTOR = 2.0


def bound_from_errors(errors: NDArray[np.floating]) -> float:
    """Return twice the largest of some logit errors, rounded up to 3 significant digits.

    Raises:
        ModelError: the largest is 0 or not finite.
    """
    bound = QUANTISED_FACTOR * float(np.abs(errors).max())
    if not 0 < bound < math.inf:
        raise ModelError(f"the largest error of this quantised graph is {bound / QUANTISED_FACTOR}")
    unit = 10.0 ** (math.floor(math.log10(bound)) - 2)
    return float(f"{math.ceil(bound / unit) * unit:.3g}")
