"""The guard: tells which answers are to be doubted, because the picture or the logits are unlike the training images'.

Shapes: N pictures, K classes.
"""

from __future__ import annotations

__all__ = ["Guard", "measure_logits", "measure_margins"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.errors import ModelError
from toolkit.imaging.picture_statistics import measure_pictures
from toolkit.imaging.settings import DOUBT

Array = npt.NDArray[np.float64]
Limits = Mapping[str, tuple[float, float]]

# What is said where a measure is under its least or over its most, in the order of what says most.
WORDS = (
    ("contrast", "nothing to see: contrast {value:.1f}, training images have {low:.1f} at least", ""),
    ("roughness", "", "grain, not a drawing: roughness {value:.2f}, training images reach {high:.2f}"),
    ("frame", *["its edge has brightness {value:.0f}, training images have {low:.0f} to {high:.0f}"] * 2),
    ("brightness", *["its brightness is {value:.0f}, training images have {low:.0f} to {high:.0f}"] * 2),
    ("distance", "", "unlike the training images of any class: distance {value:.1f}, those reach {high:.1f}"),
    ("strength", "unlike the training images of any class: largest logit {value:.3g}, those reach {low:.3g}", ""),
    ("margin", "two classes nearly equal: margin {value:.2f}, training images have {low:.2f} or more", ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Thresholds, calibrated on training images when the model was exported.

    Attributes:
        limits: by measure the least and the most that is not doubted, infinite where one side is open.
        centres: float64 `[K, K]`, mean logits of each class; None where distances are not measured.
        whitening: float64 `[K, K]`, which brings the logits' scatter about their centres to unit covariance.
    """

    limits: Limits
    centres: Array | None = None
    whitening: Array | None = None

    @classmethod
    def from_card(cls, value: Mapping[str, Any], *, classes: int) -> Guard | None:
        """Read what a card holds; None where nothing was calibrated.

        Args:
            value: the card's `guard`, as `to_card` wrote it.
            classes: K.

        Raises:
            ModelError: it cannot be read.
        """
        if not value:
            return None
        try:
            limits = {str(name): _read_limits(pair) for name, pair in value["limits"].items()}
            centres, whitening = (_read_square(value.get(name), classes) for name in ("centres", "whitening"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"the card's guard cannot be read: {error}") from error
        if (centres is None) != (whitening is None):
            raise ModelError("the card's guard has centres without their whitening, or the other way round")
        known = {name for name, *_ in WORDS} - ({"distance"} if centres is None else set())
        if not limits.keys() <= known:
            raise ModelError(f"the card's guard has limits of {', '.join(sorted(limits.keys() - known))}; unknown")
        return cls(limits=limits, centres=centres, whitening=whitening)

    def to_card(self) -> dict[str, Any]:
        """Return plain JSON values; open sides are null."""
        value: dict[str, Any] = {
            "limits": {
                name: [bound if np.isfinite(bound) else None for bound in pair] for name, pair in self.limits.items()
            }
        }
        if self.centres is not None and self.whitening is not None:
            value |= {"centres": self.centres.tolist(), "whitening": self.whitening.tolist()}
        return value

    def judge(self, pictures: npt.NDArray[np.uint8], logits: npt.NDArray[Any]) -> dict[int, str]:
        """Say which answers are to be doubted and why; pictures without a doubt are left out.

        Args:
            pictures: uint8 `[N, *input shape]`, as the model took them.
            logits: `[N, K]`, finite, as it answered.
        """
        measures = {
            **measure_pictures(pictures),
            **measure_logits(logits, centres=self.centres, whitening=self.whitening),
        }
        notes: dict[int, str] = {}
        for name, *words in reversed(WORDS):
            low, high = self.limits.get(name, (-np.inf, np.inf))
            values = measures.get(name)
            if values is None:
                continue
            for text, is_out in zip(words, (values < low, values > high), strict=True):
                for place in np.flatnonzero(is_out).tolist():
                    notes[place] = DOUBT + text.format(value=values[place], low=low, high=high)
        return notes


def measure_logits(logits: npt.NDArray[Any], *, centres: Array | None, whitening: Array | None) -> dict[str, Array]:
    """Return the measures of the answers, float64 `[N]` each.

    `strength`: the largest logit. `margin`: that minus the second largest; left out with one class. `distance`: how far
    the logits are from the centre of the class they name, in standard deviations of the training images' (Mahalanobis);
    left out without centres.

    Args:
        logits: `[N, K]`, finite.
        centres: `[K, K]` or None.
        whitening: `[K, K]` or None.
    """
    wide = logits.astype(np.float64)
    measures = {"strength": wide.max(axis=1, initial=-np.inf)}
    if wide.shape[1] > 1:
        measures["margin"] = measure_margins(wide)
    if centres is not None and whitening is not None:
        scattered = (wide - centres[wide.argmax(axis=1)]) @ whitening.T
        measures["distance"] = np.sqrt(np.einsum("nk,nk->n", scattered, scattered))
    return measures


def measure_margins(logits: npt.NDArray[Any]) -> Array:
    """Return the largest logit minus the second largest, float64 `[N]`; NaN with one class.

    Args:
        logits: `[N, K]`, finite.
    """
    if logits.shape[1] < 2:
        return np.full(len(logits), np.nan)
    top = np.partition(logits, -2, axis=1)[:, -2:].astype(np.float64)
    margins: Array = top[:, 1] - top[:, 0]
    return margins


def _read_limits(pair: Any) -> tuple[float, float]:
    low, high = pair
    return (-np.inf if low is None else float(low), np.inf if high is None else float(high))


def _read_square(value: Any, classes: int) -> Array | None:
    if value is None:
        return None
    square: Array = np.array(value, np.float64)
    if square.shape != (classes, classes) or not np.isfinite(square).all():
        raise ValueError(f"expected {classes}x{classes} finite numbers, got shape {list(square.shape)}")
    return square
