"""Scores of classes and targets: linear ones, the transforms at their end, the classes that they stand for.

The standard names the transforms and explains none; SOFTMAX_ZERO and PROBIT are as ONNX Runtime and ONNX's evaluator
have them.

Shapes: N rows, F features, K classes or targets.
"""

from __future__ import annotations

__all__ = ["DOMAIN", "as_rows", "classify", "finish_pair", "name_classes", "transform"]

from collections.abc import Sequence

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, Type, operator
from toolkit.runtimes.references.operators.elementwise import sigmoid

DOMAIN = "ai.onnx.ml"
# Winitzki, "A handy approximation for the error function and its inverse", 2008; numbers below ZERO count as zero.
WINITZKI = 0.147
ZERO = 1e-7


def as_rows(x: Array, real: Type) -> Array:
    """Return `[N, F]` of real numbers; one row of features is a batch of one."""
    rows = np.atleast_2d(x)
    return rows if np.issubdtype(rows.dtype, np.floating) else rows.astype(real)


def transform(scores: Array, name: str) -> Array:
    """Return `[N, K]` after NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT."""
    if name == "NONE":
        return scores
    if name == "LOGISTIC":
        return sigmoid(scores)
    if name == "PROBIT":
        return _probit(scores)
    largest = scores.max(axis=1, keepdims=True)
    powers = np.exp(scores - largest)
    if name == "SOFTMAX_ZERO":
        powers = np.where(np.abs(scores) > ZERO, powers, scores * np.exp(-largest))
        total = powers.sum(axis=1, keepdims=True)
        return np.where(total == 0, 0.5, powers / np.where(total == 0, 1, total))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def finish_pair(score: Array, name: str, *, is_share: bool) -> Array:
    """Return `[N, 2]` from one score `[N]`, that of the second class.

    The standard leaves the first class' score open: ONNX Runtime has 1 - x for a share and -x else.

    Raises:
        ValueError: a transform of both, which ONNX Runtime passes over and ONNX's evaluator applies to -x and x.
    """
    if name not in {"NONE", "LOGISTIC"}:
        raise ValueError(f"{name} of one score for two classes has no value in the standard")
    if name == "LOGISTIC":
        return np.stack([sigmoid(-score), sigmoid(score)], axis=1)
    return np.stack([1 - score if is_share else -score, score], axis=1)


def classify(
    scores: Array, labels: Sequence[int] | Sequence[str], *, name: str, is_share: bool, real: Type
) -> tuple[Array, Array]:
    """Return the top class of each row `[N]`, and the scores after their transform `[N, K]`.

    One score for two classes stands for the second where it is positive, in ONNX Runtime and tract alike.
    """
    if scores.shape[1] == 1 and len(labels) == 2:
        pair = finish_pair(scores[:, 0], name, is_share=is_share)
        return name_classes((scores[:, 0] > 0).astype(np.int64), labels), pair.astype(real)
    return name_classes(scores.argmax(axis=1), labels), transform(scores, name).astype(real)


def name_classes(indices: Array, labels: Sequence[int] | Sequence[str]) -> Array:
    """Return the labels of classes `[N]`."""
    return np.array(labels, object if isinstance(labels[0], str) else np.int64)[indices]


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
    scores = _scores(x, coefficients, intercepts=intercepts, real=real)
    return classify(
        scores, classlabels_ints or classlabels_strings or [], name=post_transform, is_share=True, real=real
    )


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
    return transform(_scores(x, coefficients, intercepts=intercepts, real=real), post_transform).astype(real)


def _scores(x: Array, coefficients: list[float], *, intercepts: list[float] | None, real: Type) -> Array:
    rows = as_rows(x, real)
    weights = np.array(coefficients, rows.dtype).reshape(-1, rows.shape[1])
    shift = np.array(intercepts or [0.0], rows.dtype)
    return np.asarray(rows @ weights.T + shift)


def _probit(shares: Array) -> Array:
    """Return the normal distribution's inverse of shares between 0 and 1; outside there is none (NaN)."""
    x = 2 * shares - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        log = np.log((1 - x) * (1 + x))
        middle = 2 / (np.pi * WINITZKI) + log / 2
        root = np.sqrt(np.sqrt(middle**2 - log / WINITZKI) - middle)
    return np.asarray(np.sqrt(2) * np.sign(x) * root)
