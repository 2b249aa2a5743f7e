"""NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss, and TfIdfVectorizer's counts."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Case, one_node, values, versions_of


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for op_type in ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"):
        for opset in versions_of(op_type):
            yield from _losses(op_type, opset)
    yield from _counts()


def _losses(op_type: str, opset: int) -> Iterator[Case]:
    drawn = values("losses")
    x, classes, weights = drawn.normal(4, 5), np.array([1, 4, 2, 0]), drawn.positive(5)
    deep, of_deep = drawn.normal(3, 5, 2, 2), drawn.whole(0, 5, 3, 2, 2)
    outputs = 2 if op_type.startswith("Softmax") else 1
    for reduction in ("mean", "sum", "none"):
        yield one_node(op_type, x, classes, opset=opset, outputs=outputs, reduction=reduction)
        yield one_node(op_type, x, classes, weights, opset=opset, outputs=outputs, reduction=reduction, label="weights")
        options: dict[str, Any] = {"reduction": reduction, "ignore_index": 2}
        yield one_node(op_type, x, classes, weights, opset=opset, outputs=outputs, label="weights", **options)
        yield one_node(op_type, deep, of_deep, opset=opset, outputs=outputs, reduction=reduction)


def _counts() -> Iterator[Case]:
    pool: dict[str, Any] = {
        "max_gram_length": 2,
        "ngram_counts": [0, 4],
        "ngram_indexes": [3, 1, 0, 2, 4, 5, 6],
        "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7],
    }
    rows = np.array([[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8]])
    weights = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    for mode in ("TF", "IDF", "TFIDF"):
        for shortest, skip in ((1, 1), (2, 0), (2, 5)):
            options: dict[str, Any] = {"mode": mode, "min_gram_length": shortest, "max_skip_count": skip, **pool}
            yield one_node("TfIdfVectorizer", rows, opset=9, **options)
            yield one_node("TfIdfVectorizer", rows[1], opset=9, weights=weights, **options)
