"""LinearClassifier and LinearRegressor.

Shapes: N rows, F features, K classes or targets.
"""

from __future__ import annotations

__all__: list[str] = []

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, Type, operator
from toolkit.runtimes.references.operators.ml.scores import DOMAIN, as_rows, classify, transform


@operator("LinearClassifier", domain=DOMAIN)
def _linear_classifier(
    x: Array,
    *,
    coefficients: list[float],
    intercepts: list[float] | None,
    classlabels_ints: list[int] | None,
    classlabels_strings: list[str] | None,
    post_transform: str,
    real: Type,
    multi_class: int,  # noqa: ARG001 - the scores are the same either way
) -> tuple[Array, Array]:
    """Return each row's class, and its scores x @ coefficients + intercepts; Operators-ml.md, LinearClassifier."""
    scores = _scores(x, coefficients, intercepts, real)
    return classify(scores, classlabels_ints or classlabels_strings or [], post_transform, is_share=True, real=real)


@operator("LinearRegressor", domain=DOMAIN)
def _linear_regressor(
    x: Array,
    *,
    coefficients: list[float],
    intercepts: list[float] | None,
    targets: int,
    post_transform: str,
    real: Type,
) -> Array:
    """Return x @ coefficients + intercepts `[N, K]`, transformed; Operators-ml.md, LinearRegressor."""
    assert len(coefficients) % targets == 0
    return transform(_scores(x, coefficients, intercepts, real), post_transform).astype(real)


def _scores(x: Array, coefficients: list[float], intercepts: list[float] | None, real: Type) -> Array:
    rows = as_rows(x, real)
    weights = np.array(coefficients, rows.dtype).reshape(-1, rows.shape[1])
    shift = np.array(intercepts or [0.0], rows.dtype)
    return np.asarray(rows @ weights.T + shift)
