"""The guard's thresholds, from training images and their reference answers.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["LEAST_GUARD_IMAGES", "calibrate_guard"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.imaging.guard import Guard, measure_logits, measure_pictures

# Fewer say nothing about one in a hundred.
LEAST_GUARD_IMAGES = 200
# Of a thousand training images so many may be doubted for their distance, and for their margin. The sum stays under the
# 1 % of false alarms that is promised; chosen by what letters, pairs and test images gave (docs/decisions/0014).
DISTANT_SHARE = 0.0075
CLOSE_CALL_SHARE = 0.0005
# Measures of the picture: the extremes of the training images, and this share of their distance to the median beyond.
SLACK = 0.1
# More classes give more numbers than a card should hold; the largest logit stands in for the distance.
MOST_CENTRES = 32
# Added to the scatter, as a share of its mean, so that logits that move together can be told apart.
RIDGE = 1e-4
DIGITS = 5


def calibrate_guard(images: NDArray[np.uint8], logits: NDArray[np.floating], *, split: str) -> dict[str, Any]:
    """Return what the card keeps: thresholds that hardly any of these images crosses, and how many do.

    Args:
        images: uint8 `[N, *input shape]`, best such as the weights were not fitted to.
        logits: `[N, K]`, the model's.
        split: what the images were to the training, as in `RunConfig.probe_split`.

    Returns:
        The card's `guard`; empty where there are under 200 images.
    """
    if len(images) < LEAST_GUARD_IMAGES:
        return {}
    wide = logits.astype(np.float64)
    centres, whitening = _scatter(wide) if 1 < wide.shape[1] <= MOST_CENTRES else (None, None)
    answers = measure_logits(wide, centres=centres, whitening=whitening)
    limits = {name: _picture_limits(name, values) for name, values in measure_pictures(images).items()}
    if "distance" in answers:
        limits["distance"] = (-np.inf, _short(np.quantile(answers["distance"], 1 - DISTANT_SHARE)))
    else:
        limits["strength"] = (_short(np.quantile(answers["strength"], DISTANT_SHARE)), np.inf)
    if "margin" in answers:
        limits["margin"] = (_short(np.quantile(answers["margin"], CLOSE_CALL_SHARE)), np.inf)
    guard = Guard(limits=limits, centres=centres, whitening=whitening)
    alarms = len(guard.judge(images, wide))
    return {"calibration": {"split": split, "images": len(images), "doubted": alarms}, **guard.to_card()}


def _picture_limits(name: str, values: NDArray[np.float64]) -> tuple[float, float]:
    middle, least, most = np.median(values), values.min(), values.max()
    low = _short(least - SLACK * (middle - least))
    high = _short(most + SLACK * (most - middle))
    # Contrast may be as strong as it likes, and a picture as smooth.
    return (-np.inf if name == "roughness" else low, np.inf if name == "contrast" else high)


def _scatter(logits: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the classes' centres `[K, K]` and the whitening `[K, K]` of what all classes scatter about them."""
    count = logits.shape[1]
    # By the answers, as the guard meets them: the true classes are not known then.
    labels = logits.argmax(axis=1)
    everywhere = logits.mean(axis=0)
    centres = np.stack(
        [logits[labels == label].mean(axis=0) if (labels == label).any() else everywhere for label in range(count)]
    )
    apart = logits - centres[labels]
    covariance = apart.T @ apart / len(logits)
    covariance += np.eye(count) * max(RIDGE * np.trace(covariance) / count, 1e-12)
    # With C = L L', a row's distance sqrt(x' C^-1 x) is the length of L^-1 x: one product for each answer.
    return _short_all(centres), _short_all(np.linalg.inv(np.linalg.cholesky(covariance)))


def _short(value: float | np.floating) -> float:
    """Return a number with five digits: the same card on every machine, whatever the last bits of its sums are."""
    return float(f"{value:.{DIGITS}g}")


def _short_all(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[_short(value) for value in row] for row in values])
