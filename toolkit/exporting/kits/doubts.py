"""What kits are told of doubts: the guard's checks as C, and the product's own verdict of the golden vectors.

Shapes: K classes.
"""

from __future__ import annotations

__all__ = ["golden_doubts", "guard_values"]

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from toolkit.card import Card
from toolkit.imaging.guard import WORDS, Guard, measure_logits, measure_pictures

# A number in a sentence of the guard's, as Python formats it; C's formats are the same behind a percent sign.
VALUE = re.compile(r"\{value:([^}]*)\}")


def golden_doubts(card: Card) -> tuple[bool | None, ...]:
    """Return whether the product doubts each golden vector and, behind them, a picture of zeros.

    None where the rounding of a logit may decide, or an answer that the card does not know.
    """
    golden, guard = card.golden, Guard.from_card(card.guard, classes=len(card.classes))
    images = np.frombuffer(golden.images if golden else b"", np.uint8).reshape(-1, *card.input.shape)
    if guard is None:
        return (False,) * (1 + len(images))
    by_sight = replace(
        guard, limits={name: guard.limits[name] for name in measure_pictures(images).keys() & guard.limits.keys()}
    )
    blank = np.zeros((1, *card.input.shape), np.uint8)
    last = True if by_sight.judge(blank, np.zeros((1, len(card.classes)))) else None
    if golden is None:
        return (last,)
    logits = np.array(golden.logits)
    doubted, seen = guard.judge(images, logits), by_sight.judge(images, logits)
    is_close = _may_round(guard, logits, tolerance=golden.tolerance)
    known = (None if is_close[place] and place not in seen else place in doubted for place in range(len(images)))
    return (*known, last)


def guard_values(card: Card) -> dict[str, str]:
    """Return the guard as C: its checks in the order of the product's with their sentences, and distances' numbers."""
    classes = len(card.classes)
    guard = Guard.from_card(card.guard, classes=classes) or Guard(limits={})
    # C has no empty arrays.
    centres, whitening = (np.zeros((1, 1)) if square is None else square for square in (guard.centres, guard.whitening))
    return {
        "guard_checks": "\n".join(_checks(guard, classes=classes)) or "    /* the card has no thresholds */",
        "guard_has_distance": str(int("distance" in guard.limits)),
        "guard_size": str(len(centres)),
        "guard_centres": _rows(centres),
        "guard_whitening": _rows(whitening),
    }


def _rows(matrix: np.ndarray) -> str:
    return "\n".join(f"    {{{', '.join(map(repr, row))}}}," for row in matrix.tolist())


def _checks(guard: Guard, *, classes: int) -> Iterator[str]:
    for name, *words in WORDS:
        low, high = guard.limits.get(name, (-np.inf, np.inf))
        for sign, bound, text in (("<", low, words[0]), (">", high, words[1])):
            if np.isfinite(bound) and (classes > 1 or name != "margin"):  # with one class there is none
                told = VALUE.sub(r"%\1", text.replace("%", "%%")).format(low=low, high=high)
                yield f'    GUARD_CHECK({name} {sign} {bound!r}, "{told}", {name})'


def _may_round(guard: Guard, logits: np.ndarray, *, tolerance: float) -> np.ndarray:
    """Say of each answer whether errors of so much in its logits may take a measure over one of its limits."""
    spread = 0.0 if guard.whitening is None else float(np.linalg.norm(guard.whitening, 2)) * logits.shape[1] ** 0.5
    moved = {"strength": tolerance, "margin": 2 * tolerance, "distance": spread * tolerance}
    is_close = np.zeros(len(logits), bool)
    for name, values in measure_logits(logits, centres=guard.centres, whitening=guard.whitening).items():
        for bound in guard.limits.get(name, ()):
            is_close |= np.abs(values - bound) <= moved[name]
    return is_close
