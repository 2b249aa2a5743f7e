"""Digits of another origin: UCI's 1,797 of 8x8 pixels, brought to a model's input the way that MNIST places digits.

Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998, doi:10.24432/C50P49, CC BY 4.0): written by 13
other people, and each pixel counts the ink in 4x4 pixels of a bitmap. scikit-learn carries the test half of the set.
"""

from __future__ import annotations

__all__ = ["DIGITS", "UCI_DIGITS", "explain_unfit", "load_uci_digits"]

from collections.abc import Sequence

import numpy as np

from toolkit.card import InputSpec
from toolkit.data.dataset import Split
from toolkit.errors import ResourceError
from toolkit.imaging.fit import fit_image
from toolkit.imaging.polarity import invert

UCI_DIGITS = "uci-digits"
DIGITS = tuple("0123456789")
# Brightness in the files runs from 0 to this.
BRIGHTEST = 16
# Ground put around each picture: the digits touch its edges, and the ground is told from the frame.
FRAME = 2
# Enlarged so much before MNIST's way of fitting cuts at the ink's edge, which would fall on a whole pixel of the eight.
ENLARGED = 8


def explain_unfit(classes: Sequence[str], spec: InputSpec) -> str | None:
    """Return None for a model of grey digits 0 to 9, in any order, else why these digits cannot judge it."""
    if set(classes) != set(DIGITS):
        return f"the classes are {', '.join(list(classes)[:12])}; these are the digits 0 to 9"
    if spec.channels != 1:
        return f"the model takes {spec.channels} channels; these digits are grey"
    return None


def load_uci_digits(spec: InputSpec) -> Split:
    """Return the digits as a model takes them.

    Args:
        spec: grey input of at least 8x8 pixels; dark ink where it says `dark-on-light`.

    Returns:
        1,797 images, uint8 `[N, H, W]`, with their labels.

    Raises:
        ResourceError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ResourceError(
            "UCI's digits come with scikit-learn, which is not installed; install it with: pip install scikit-learn"
        ) from error
    pictures = load_digits()
    bright = np.rint(pictures.images * (255 / BRIGHTEST)).astype(np.uint8)
    framed = np.pad(bright, ((0, 0), (FRAME, FRAME), (FRAME, FRAME)))
    mnist = InputSpec(height=spec.height, width=spec.width, channels=1, fit="mnist")
    side = ENLARGED * framed.shape[1]
    fine = InputSpec(height=side, width=side, channels=1, fit="stretch")
    images = np.stack([fit_image(fit_image(picture, fine), mnist) for picture in framed])
    if spec.polarity == "dark-on-light":
        images = invert(images)
    return Split(images=images, labels=pictures.target.astype(np.int64))
