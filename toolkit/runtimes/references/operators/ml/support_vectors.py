"""SVMClassifier and SVMRegressor: the arithmetic of LIBSVM, of which the standard keeps the attributes.

Shapes: N rows, F features, S support vectors, K classes, P pairs of them.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, Type, operator
from toolkit.runtimes.references.operators.elementwise import sigmoid
from toolkit.runtimes.references.operators.ml.scores import DOMAIN, as_rows, finish_pair, name_classes, transform

# LIBSVM, svm.cpp: the least share of a pair, and when and how often its shares are brought together.
LEAST, PRECISION, ROUNDS = 1e-7, 0.005, 100


@operator("SVMRegressor", domain=DOMAIN)
def _svm_regressor(
    x: Array,
    *,
    coefficients: list[float],
    n_supports: int,
    one_class: int,
    post_transform: str,
    real: Type,
    **attributes: Any,
) -> Array:
    """Return the weighted kernels and rho `[N, 1]`, or their sign; Operators-ml.md, SVMRegressor."""
    rows = as_rows(x, real)
    weights = np.array(coefficients, rows.dtype)
    values = _kernels(rows, attributes, count=n_supports) @ weights if n_supports else rows @ weights
    values = (values + attributes["rho"][0])[:, None]
    scores = np.where(values > 0, 1.0, -1.0) if one_class else transform(values, post_transform)
    return scores.astype(real)


@operator("SVMClassifier", domain=DOMAIN)
def _svm_classifier(
    x: Array,
    *,
    coefficients: list[float],
    classlabels_ints: list[int] | None,
    classlabels_strings: list[str] | None,
    post_transform: str,
    real: Type,
    **attributes: Any,
) -> tuple[Array, Array]:
    """Return each row's class by the votes of all pairs, and the scores of pairs or classes; SVMClassifier-1."""
    labels = classlabels_ints or classlabels_strings or []
    rows = as_rows(x, real)
    weights = np.array(coefficients, rows.dtype)
    if not attributes["vectors_per_class"]:
        scores = rows @ weights.reshape(len(labels), -1).T + attributes["rho"][0]
        return name_classes(scores.argmax(axis=1), labels), transform(scores, post_transform).astype(real)
    scores = _decide_pairs(rows, weights, attributes=attributes)
    votes = np.zeros((len(rows), len(labels)), np.int64)
    for pair, chosen in zip(itertools.combinations(range(len(labels)), 2), scores.T, strict=True):
        votes[np.arange(len(rows)), np.where(chosen > 0, *pair)] += 1
    classes = name_classes(votes.argmax(axis=1), labels)
    if attributes["prob_a"]:
        scores = _shares(scores, attributes["prob_a"], prob_b=attributes["prob_b"], count=len(labels))
    elif len(labels) == 2:
        return classes, finish_pair(scores[:, 0], post_transform, is_share=False).astype(real)
    return classes, transform(scores, post_transform).astype(real)


def _kernels(rows: Array, attributes: dict[str, Any], *, count: int) -> Array:
    """Return each row's kernel with each support vector `[N, S]`."""
    vectors = np.array(attributes["support_vectors"], rows.dtype).reshape(count, -1)
    gamma, offset, degree = attributes["kernel_params"] or (0.0, 0.0, 0.0)
    kind = attributes["kernel_type"]
    if kind == "RBF":
        return np.asarray(np.exp(-gamma * ((rows[:, None] - vectors) ** 2).sum(axis=-1)))
    products = np.asarray(rows @ vectors.T)
    if kind == "LINEAR":
        return products
    inner = gamma * products + offset
    return np.asarray(inner ** int(degree) if kind == "POLY" else np.tanh(inner))


def _decide_pairs(rows: Array, weights: Array, *, attributes: dict[str, Any]) -> Array:
    """Return the decision value of each pair of classes `[N, P]`: positive for the first of the two."""
    counts = attributes["vectors_per_class"]
    kernels = _kernels(rows, attributes, count=sum(counts))
    coefficients = weights.reshape(-1, sum(counts))
    ends = np.cumsum(counts)
    own = [slice(int(end - count), int(end)) for end, count in zip(ends, counts, strict=True)]
    # LIBSVM leaves out the row of a class against itself: a vector of class i has row j - 1 against j > i, row j else.
    values = [
        kernels[:, own[i]] @ coefficients[j - 1, own[i]] + kernels[:, own[j]] @ coefficients[i, own[j]]
        for i, j in itertools.combinations(range(len(counts)), 2)
    ]
    return np.asarray(np.stack(values, axis=1) + np.array(attributes["rho"], rows.dtype))


def _shares(scores: Array, prob_a: list[float], *, prob_b: list[float], count: int) -> Array:
    """Return each class' share `[N, K]` from those of the pairs; Wu, Lin and Weng, 2004, as LIBSVM has it."""
    pairs = np.clip(1 - sigmoid(scores * np.array(prob_a) + np.array(prob_b)), LEAST, 1 - LEAST)
    results = []
    for row in pairs:
        r = np.zeros((count, count))
        for (i, j), share in zip(itertools.combinations(range(count), 2), row, strict=True):
            r[i, j], r[j, i] = share, 1 - share
        results.append(_bring_together(r))
    return np.array(results, scores.dtype)


def _bring_together(r: Array) -> Array:
    """Solve for the shares that fit those of all pairs best, as far as LIBSVM goes."""
    count = len(r)
    q = -r.T * r
    q[np.diag_indices(count)] = (r**2).sum(axis=0)
    p = np.full(count, 1 / count)
    for _ in range(max(ROUNDS, count)):
        products = q @ p
        total = float(p @ products)
        if np.abs(products - total).max() < PRECISION / count:
            break
        for t in range(count):
            step = (total - products[t]) / q[t, t]
            p[t] += step
            total = (total + step * (step * q[t, t] + 2 * products[t])) / (1 + step) ** 2
            products = (products + step * q[t]) / (1 + step)
            p /= 1 + step
    return p
