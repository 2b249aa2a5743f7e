"""What an engine's logits themselves tell of a mistake: the reference's numbers, in another order or on another scale.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["explain_logits", "explain_rest", "find_matches"]

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float64]
# A mistake leaves this share of the images where it says; chance does not.
SCALE_SPREAD = 1e-3
# Both sides are computed in float64.
EXACT = 1e-9


def find_matches(seen: Logits, answers: Mapping[str, NDArray[Any]], *, bound: float) -> tuple[str, ...]:
    """Return the names of the answers, `[N, K]` each, that are `seen` within the bound."""
    return tuple(
        name for name, answer in answers.items() if answer.shape == seen.shape and np.abs(answer - seen).max() <= bound
    )


def explain_logits(seen: Logits, reference: Logits, *, bound: float) -> Iterator[str]:
    """Yield what turns the reference's logits into the ones seen, within the bound; nothing where nothing does.

    Args:
        seen: `[N, K]`, of a batch.
        reference: `[N, K]`.
        bound: of the reference.
    """
    if np.abs(_softmax(reference) - seen).max() <= bound:
        yield "the logits are probabilities: a softmax stands before the output"
    apart = seen - reference
    if np.ptp(apart, axis=1).max() <= 2 * bound < np.abs(apart).max():
        yield "every image's logits are moved by one number, as by a log-softmax"
    order = _permutation(seen, reference, bound=bound)
    if order is not None:
        yield f"the classes are in another order: output k holds class {order.tolist()}[k]"
    factor = float((seen * reference).sum() / max((reference**2).sum(), np.finfo(float).tiny))
    if abs(factor - 1) > SCALE_SPREAD and np.abs(seen - factor * reference).max() <= bound * max(1.0, abs(factor)):
        yield f"the logits are {factor:.4g} times the reference's"


def explain_rest(outputs: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    """Yield what is wrong with a file whose logits are right: its label, its probabilities, in float64 too.

    Args:
        outputs: `logits`, `probabilities` and `label` of a batch, computed in float64.
    """
    logits, label = outputs["logits"], outputs["label"]
    right = logits.argmax(axis=1)
    if not np.array_equal(label, right):
        known = {"the smallest logit's": logits.argmin(axis=1), "one too high": right + 1, "one too low": right - 1}
        which = next((name for name, value in known.items() if np.array_equal(label, value)), "not the largest logit's")
        yield f"the file: its `label` is {which}, in float64 too"
    seen = outputs["probabilities"]
    if not _is_near(seen, _softmax(logits)):
        known = {
            "a softmax over the batch": _softmax(logits.T).T,
            "the logits": logits,
            "a sigmoid of the logits": 1 / (1 + np.exp(-logits)),
        }
        which = next((name for name, value in known.items() if _is_near(seen, value)), "not the softmax of its logits")
        yield f"the file: its `probabilities` are {which}, in float64 too"


def _is_near(seen: NDArray[Any], value: Logits) -> bool:
    return seen.shape == value.shape and bool(np.abs(seen - value).max() <= EXACT)


def _softmax(logits: Logits) -> Logits:
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Logits = exponent / exponent.sum(axis=1, keepdims=True)
    return result


def _permutation(seen: Logits, reference: Logits, *, bound: float) -> NDArray[np.int64] | None:
    distance = np.abs(seen[:, :, None] - reference[:, None, :]).max(axis=0)
    order: NDArray[np.int64] = distance.argmin(axis=1)
    is_permutation = len(set(order.tolist())) == len(order) and not np.array_equal(order, np.arange(len(order)))
    fits = bool((distance[np.arange(len(order)), order] <= bound).all())
    return order if is_permutation and fits else None
