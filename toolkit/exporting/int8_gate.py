"""The gate of an int8 file, looked at once on the test images.

Shapes: N images.
"""

from __future__ import annotations

__all__ = ["LEAST_AGREEMENT", "LEAST_TEST_IMAGES", "MOST_LOSS", "Int8Gate", "count_needed", "judge_int8"]

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.evaluation.accuracy import PairedReport, compare_paired
from toolkit.intervals import Z95, paired_interval

# The upper end of the 95 % interval of the accuracy lost; shares, not points.
MOST_LOSS = 0.0015
LEAST_AGREEMENT = 0.998
# Test images on which the interval lies under the limit where not one label is lost: z^2 / (n + z^2).
LEAST_TEST_IMAGES = math.ceil(Z95**2 * (1 - MOST_LOSS) / MOST_LOSS)
# Where even so many images would not do, more are no answer.
MOST_COUNT = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Gate:
    """What the test images say.

    Attributes:
        pairs: the float32 file against the int8 file, image by image; its difference is the accuracy lost.
        agreeing: images on which both give the same label, right or wrong.
        max_logit_error: the largest difference between their logits.
        bound: what the card allows of it, known before the test images were looked at.
    """

    pairs: PairedReport
    agreeing: int
    max_logit_error: float
    bound: float

    @property
    def agreement(self) -> float:
        """Share of equal labels, 0 to 1."""
        return self.agreeing / self.pairs.count

    @property
    def failures(self) -> tuple[str, ...]:
        """Every limit that does not hold, in words; empty where the gate holds."""
        found = []
        pairs, (_, most) = self.pairs, self.pairs.interval
        if most > MOST_LOSS:
            seen = (
                f"it may lose {100 * most:.3f} points of accuracy (upper 95 % bound on "
                f"{count_of(pairs.count, 'test image')})"
            )
            found.append(f"{seen}; the limit is {100 * MOST_LOSS:g}{_advise(pairs)}")
        if self.agreement < LEAST_AGREEMENT:
            seen = f"its labels agree with float32 on {100 * self.agreement:.2f} %"
            found.append(f"{seen} ({self.agreeing:,} of {pairs.count:,}); the least is {100 * LEAST_AGREEMENT:g} %")
        if not self.max_logit_error <= self.bound:
            seen = f"its logits differ from float32's by up to {self.max_logit_error:.3g} on the test images"
            found.append(f"{seen}; its bound is {self.bound:.3g}")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Keys:
            images: test images.
            only_fp32_right: those that only the float32 file labels right.
            only_int8_right: those that only the int8 file labels right.
            accuracy_loss: accuracy of the float32 file minus that of the int8 file, -1 to 1.
            accuracy_loss_ci95: its 95 % interval.
            most_loss: the limit of the interval's upper end.
            least_agreement: the least share of equal labels.
        """
        return {
            "images": self.pairs.count,
            "only_fp32_right": self.pairs.only_first,
            "only_int8_right": self.pairs.only_second,
            "accuracy_loss": self.pairs.difference,
            "accuracy_loss_ci95": list(self.pairs.interval),
            "most_loss": MOST_LOSS,
            "agreement": self.agreement,
            "least_agreement": LEAST_AGREEMENT,
            "max_logit_error": self.max_logit_error,
            "bound": self.bound,
            "failures": list(self.failures),
        }


def judge_int8(
    truth: NDArray[np.int64],
    *,
    fp32: NDArray[np.int64],
    int8: NDArray[np.int64],
    max_logit_error: float,
    bound: float,
) -> Int8Gate:
    """Compare the answers of two files.

    Args:
        truth: int64 `[N]`, the true classes.
        fp32: int64 `[N]`, the float32 file's labels.
        int8: int64 `[N]`, the int8 file's labels.
        max_logit_error: the largest difference between their logits.
        bound: what the int8 file's card allows of it.
    """
    return Int8Gate(
        pairs=compare_paired(fp32 == truth, int8 == truth),
        agreeing=int((fp32 == int8).sum()),
        max_logit_error=max_logit_error,
        bound=bound,
    )


def count_needed(lost: float, won: float) -> int | None:
    """Return how many test images the interval needs to lie under the limit, None where no number would do.

    Args:
        lost: share of images that only float32 labels right.
        won: share that only int8 labels right.
    """

    def is_enough(count: int) -> bool:
        return paired_interval(lost * count, won * count, count=count)[1] <= MOST_LOSS

    return bisect_left(range(MOST_COUNT), True, lo=1, key=is_enough) if is_enough(MOST_COUNT) else None


def _advise(pairs: PairedReport) -> str:
    needed = count_needed(pairs.only_first / pairs.count, pairs.only_second / pairs.count)
    if needed is None:
        return ""
    return f"; at this rate {count_of(needed, 'test image')} would show that it holds"
