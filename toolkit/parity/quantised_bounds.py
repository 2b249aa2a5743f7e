"""Bounds of a quantised file: what its card states and, on images of another kind, what exact arithmetic shows.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["bound_quantised"]

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.parity.suites import Suite
from toolkit.runtimes.empirical_bound import bound_from_errors

Answer = Callable[[Suite], NDArray[np.float64]]


def bound_quantised(
    suites: tuple[Suite, ...], logits: list[NDArray[np.float64]], *, stated: float | None, evaluate: Answer
) -> list[float]:
    """Return one bound for each suite, known before any engine runs.

    The card's comes from training or validation images, and the export held it against the test images. Noise and
    special images may leave the calibrated ranges: theirs comes from the quantised graph itself in float64, and is
    never under the card's.

    Args:
        suites: `test` first.
        logits: float64 `[N, K]`, the reference's, one entry for each suite.
        stated: the card's bound.
        evaluate: the quantised graph in float64.

    Raises:
        ModelError: the card states none.
    """
    if stated is None or not 0 < stated < np.inf:
        raise ModelError(f"the card of this quantised file states the bound {stated}; expected a positive number")
    errors = [np.abs(evaluate(suite) - exact).max() for suite, exact in zip(suites[1:], logits[1:], strict=True)]
    return [stated, *(max(stated, bound_from_errors(error)) if error else stated for error in errors)]
