"""Words: StringNormalizer and TfIdfVectorizer."""

from __future__ import annotations

__all__: list[str] = []

from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, Type, operator


@operator("StringNormalizer")
def _string_normalizer(
    x: Array,
    *,
    case_change_action: str,
    is_case_sensitive: int,
    stopwords: list[str] | None,
    locale: str | None,  # noqa: ARG001 - case is Unicode's, as in en_US
) -> Array:
    """Take out the elements that are stop words, and change the case of the others; Operators.md, StringNormalizer.

    The evaluator (1.23) takes words out of the elements, and accents, and elements that are empty.
    """

    def key(word: str) -> str:
        return word if is_case_sensitive else word.casefold()

    dropped = {key(word) for word in stopwords or ()}
    changes: dict[str, Callable[[str], str]] = {"LOWER": str.lower, "UPPER": str.upper, "NONE": str}
    kept = [changes[case_change_action](word) for word in x.ravel().tolist() if key(word) not in dropped]
    return np.array(kept or [""], object).reshape(*x.shape[:-1], -1)


@operator("TfIdfVectorizer")
def _tf_idf_vectorizer(x: Array, *, mode: str, weights: list[float] | None, real: Type, **attributes: Any) -> Array:
    """Count the n-grams of a pool in each row, with gaps of one size in each; Operators.md, TfIdfVectorizer."""
    grams = _read_pool(attributes["pool_int64s"] or attributes["pool_strings"], attributes["ngram_counts"])
    rows = np.atleast_2d(x).tolist()
    counts = np.zeros((len(rows), len(attributes["ngram_indexes"])))
    for count, row in zip(counts, rows, strict=True):
        for length in range(attributes["min_gram_length"], attributes["max_gram_length"] + 1):
            for skip in range(attributes["max_skip_count"] + 1 if length > 1 else 1):
                reach = (length - 1) * (skip + 1) + 1
                for start in range(len(row) - reach + 1):
                    place = grams.get(tuple(row[start : start + reach : skip + 1]))
                    if place is not None:
                        count[place] += 1
    if mode == "IDF":
        counts = np.minimum(counts, 1)
    if mode != "TF" and weights:
        counts = counts * np.array(weights)
    result = np.zeros((len(rows), max(attributes["ngram_indexes"]) + 1))
    for column, count in zip(attributes["ngram_indexes"], counts.T, strict=True):
        result[:, column] += count
    return result.astype(real).reshape(*x.shape[:-1], -1)


def _read_pool(pool: list[Any], starts: list[int]) -> dict[tuple[Any, ...], int]:
    """Return each n-gram's number: those of one item first, from `starts[0]`, then those of two, and so on."""
    grams: dict[tuple[Any, ...], int] = {}
    number = 0
    for length, (start, end) in enumerate(zip(starts, [*starts[1:], len(pool)], strict=True), 1):
        for first in range(start, end - length + 1, length):
            grams[tuple(pool[first : first + length])] = number
            number += 1
    return grams
