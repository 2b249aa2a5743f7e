"""The guard: tells which answers are to be doubted, because the picture or the logits are unlike the training images'.

What it goes by is measured here too: a few numbers of every picture and of its logits, for next to nothing.

Shapes: N pictures, H rows, W columns, K classes.
"""

from __future__ import annotations

__all__ = ["Guard", "measure_logits", "measure_margins", "measure_pictures"]

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.errors import ModelError
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
# So many pictures at a time stay in a core's cache.
PIECE_BYTES = 1 << 18
# Pixels from each edge that count as frame.
FRAME_PIXELS = 2


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


def measure_pictures(pictures: npt.NDArray[np.uint8]) -> dict[str, Array]:
    """Return four measures of every picture, float64 `[N]` each.

    `brightness`: mean of all pixels, 0 to 255. `contrast`: their standard deviation, 0 to 127.5. `frame`: mean of the
    two outermost rows and columns, 0 to 255. `roughness`: 1 minus the correlation of neighbouring pixels, 0 (smooth) to
    2; about 1 for noise, and 1 where all pixels are equal.

    Args:
        pictures: uint8 `[N, H, W]` or `[N, H, W, 3]`.
    """
    size = max(1, PIECE_BYTES // max(1, pictures[:1].nbytes))
    pieces = [_measure(pictures[start : start + size]) for start in range(0, max(1, len(pictures)), size)]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


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


def _measure(pictures: npt.NDArray[np.uint8]) -> dict[str, Array]:
    count, height, width = pictures.shape[:3]
    channels = 1 if pictures.ndim == 3 else pictures.shape[3]
    masks = _masks(height, width, channels=channels)
    flat: Any = pictures.reshape(count, masks.all.size).astype(np.float32)
    num_pixels = max(1, masks.all.size)
    # Whole numbers under 2^24 (128x128 RGB has 12.6 million): float32 adds them up exactly, by one product each.
    total, frame = flat @ masks.all, flat @ masks.frame
    mean = total.astype(np.float64) / num_pixels
    square = np.einsum("np,np->n", flat, flat) / np.float64(num_pixels)
    variance = np.maximum(square - mean * mean, 0)
    return {
        "brightness": mean,
        "contrast": np.sqrt(variance),
        "frame": frame.astype(np.float64) / max(1, np.count_nonzero(masks.frame)),
        "roughness": 1
        - _neighbour_correlation(flat, masks, mean=mean, variance=variance, step=channels, row=width * channels),
    }


class _Masks(NamedTuple):
    """float32 `[pixels x channels]` each: 1 where a value counts."""

    all: npt.NDArray[np.float32]
    frame: npt.NDArray[np.float32]
    # First and last column, first and last row: they have one neighbour less.
    sides: npt.NDArray[np.float32]
    ends: npt.NDArray[np.float32]


@functools.lru_cache(maxsize=8)
def _masks(height: int, width: int, *, channels: int) -> _Masks:
    frame, sides, ends = np.zeros((3, height, width, channels), np.float32)
    frame[:FRAME_PIXELS] = frame[-FRAME_PIXELS:] = frame[:, :FRAME_PIXELS] = frame[:, -FRAME_PIXELS:] = 1
    sides[:, 0] += 1
    sides[:, -1] += 1
    ends[0] += 1
    ends[-1] += 1
    return _Masks(np.ones(frame.size, np.float32), *(mask.ravel() for mask in (frame, sides, ends)))


def _neighbour_correlation(flat: Any, masks: _Masks, *, mean: Array, variance: Array, step: int, row: int) -> Array:
    """Return the correlation of values with their right and lower neighbours, from sums of products alone.

    A row's last pixel and the next row's first stand beside one another in memory; their product is taken off again.
    """
    size = flat.shape[1]
    # Pairs side by side (a row has one less than pixels), and pairs one above the other.
    pairs = (size - size // row * step) + (size - row)
    if pairs <= 0:
        return np.zeros(len(flat))
    right = np.einsum("np,np->n", flat[:, step:], flat[:, :-step])
    for channel in range(step):
        ends, starts = flat[:, row - step + channel : size - 1 : row], flat[:, row + channel :: row]
        right = right - np.einsum("np,np->n", ends[:, : starts.shape[1]], starts)
    products = right.astype(np.float64) + np.einsum("np,np->n", flat[:, row:], flat[:, :-row])
    # Every value is the left and the right, the upper and the lower of a pair, but for those at the edges.
    twice = 2 * mean * size
    sums = (twice - flat @ masks.sides) + (twice - flat @ masks.ends)
    covariance = products - mean * sums + pairs * mean * mean
    # Below a grey level of variance the products' rounding would be all that is seen.
    is_flat = variance < 1e-3
    return np.where(is_flat, 0.0, covariance / pairs / np.where(is_flat, 1.0, variance))
