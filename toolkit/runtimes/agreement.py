"""Whether answers agree with a reference: the one rule of parity, self-test and export.

In order: names, shapes and dtypes, finiteness, values, labels.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["PROBABILITY_ROUNDING", "Agreement", "compare_outputs", "probability_bound"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.imaging.guard import measure_margins

# |d softmax_i| = p_i |dz_i - sum p_j dz_j| <= 2 p_i (1 - p_i) max|dz| <= max|dz| / 2; exp and the sum add a few
# float32 roundings, 2^-20 in all.
PROBABILITY_ROUNDING = 2.0**-20

# The first item that shows it, and what does not hold.
Failure = tuple[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The verdict on one suite; truthy when everything held and nothing is open.

    Attributes:
        max_abs_logit_error: largest error, of the logits or, in a stranger's file, of the output that comes nearest to
            its bound; None where the values could not be compared.
        bound: what rounding explains of it.
        label_consistent: whether `label` is the argmax of the engine's own `logits`; None where there is no label.
        flips: labels, or whole numbers, that differ from the reference's.
        flips_excused: those of them that rounding explains.
        worst_index: the item that shows the first failure, else the one with the largest error.
        is_refusal: whether the engine gave no answer at all.
        failures: what did not hold, in the order of the checks.
        unclear: what rounding may explain or not.
    """

    max_abs_logit_error: float | None = None
    bound: float
    label_consistent: bool | None = None
    flips: int = 0
    flips_excused: int = 0
    worst_index: int | None = None
    is_refusal: bool = False
    failures: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.failures and not self.unclear


def probability_bound(bound: float) -> float:
    """Return the largest error of a probability that a bound of the logits allows."""
    return bound / 2 + PROBABILITY_ROUNDING


def compare_outputs(outputs: Mapping[str, NDArray[Any]], reference: NDArray[np.float64], *, bound: float) -> Agreement:
    """Compare outputs with the reference; all failures are gathered.

    Args:
        outputs: `logits` float32 `[N, K]`, `probabilities` float32 `[N, K]`, `label` int64 `[N]`.
        reference: float64 `[N, K]`, logits of the same images.
        bound: largest absolute logit error that rounding explains.
    """
    problems = _check_form(outputs, reference.shape)
    if problems:
        return Agreement(bound=bound, failures=tuple(problems))
    infinite = [_find_infinite(name, outputs[name]) for name in ("logits", "probabilities")]
    found = [item for item in infinite if item is not None]
    if found:
        return Agreement(bound=bound, worst_index=found[0][0], failures=tuple(text for _, text in found))
    error = np.abs(outputs["logits"] - reference).max(axis=1)
    labels = outputs["label"]
    consistent = bool(np.array_equal(labels, outputs["logits"].argmax(axis=1)))
    flipped = labels != reference.argmax(axis=1)
    margins = measure_margins(reference)
    excused = flipped & (margins < 2 * bound)
    failures = _value_failures(outputs, reference, error=error, bound=bound)
    if not consistent:
        index = int((labels != outputs["logits"].argmax(axis=1)).argmax())
        failures.append((index, "`label` is not the argmax of the engine's own `logits`"))
    if (flipped & ~excused).any():
        wrong, index = int((flipped & ~excused).sum()), int(np.flatnonzero(flipped & ~excused)[0])
        text = (
            f"{count_of(wrong, 'label')} {'differs' if wrong == 1 else 'differ'} from the reference, first at "
            f"image {index} "
            f"({labels[index]} for {reference[index].argmax()}, reference margin {margins[index]:.3g})"
        )
        failures.append((index, text))
    return Agreement(
        max_abs_logit_error=float(error.max()),
        bound=bound,
        label_consistent=consistent,
        flips=int(flipped.sum()),
        flips_excused=int(excused.sum()),
        worst_index=failures[0][0] if failures else int(error.argmax()),
        failures=tuple(text for _, text in failures),
    )


def _check_form(outputs: Mapping[str, NDArray[Any]], shape: tuple[int, ...]) -> list[str]:
    wanted = {"logits": ("float32", shape), "probabilities": ("float32", shape), "label": ("int64", shape[:1])}
    problems = [f"output `{name}` is missing" for name in wanted if name not in outputs]
    problems += [f"output `{name}` is not part of the contract" for name in outputs if name not in wanted]
    for name, (dtype, size) in wanted.items():
        array = outputs.get(name)
        if array is not None and (str(array.dtype), array.shape) != (dtype, size):
            problems.append(f"`{name}` is {array.dtype} {list(array.shape)}; expected {dtype} {list(size)}")
    return problems


def _find_infinite(name: str, array: NDArray[Any]) -> Failure | None:
    bad = ~np.isfinite(array).all(axis=1)
    if not bad.any():
        return None
    index = int(bad.argmax())
    return index, f"`{name}` is not finite for {count_of(int(bad.sum()), 'image')}, first image {index}"


def _value_failures(
    outputs: Mapping[str, NDArray[Any]], reference: NDArray[np.float64], *, error: NDArray[np.float64], bound: float
) -> list[Failure]:
    failures = []
    if not error.max() <= bound:  # also when it is NaN
        index = int(error.argmax())
        seen = f"`logits` differ by {error.max():.3g} at image {index}"
        failures.append((index, f"{seen}; rounding explains {bound:.3g}"))
    shifted = np.exp(reference - reference.max(axis=1, keepdims=True))
    off = np.abs(outputs["probabilities"] - shifted / shifted.sum(axis=1, keepdims=True)).max(axis=1)
    allowed = probability_bound(bound)
    if not off.max() <= allowed:
        text = f"`probabilities` differ by {off.max():.3g}; rounding explains {allowed:.3g}"
        failures.append((int(off.argmax()), text))
    return failures
