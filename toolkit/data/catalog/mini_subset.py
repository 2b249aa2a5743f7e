"""mnist-mini: 500 training and 100 test digits of each class of MNIST, inside the package."""

from __future__ import annotations

__all__ = ["load_mini"]

from dataclasses import replace
from pathlib import Path

from toolkit.data.catalog.entries import MINI_NAME, MNIST
from toolkit.data.dataset import Dataset
from toolkit.data.formats.idx_folder import load_idx_folder
from toolkit.errors import DataError

MINI_FOLDER = Path(__file__).parent.parent / "mini"
MINI_SHA256 = "f666245e32b0a988556b1fca6fdd2dedada07f6849e9a495fe0046044ef14e91"


def load_mini() -> Dataset:
    """Load the embedded subset: 5,000 training and 1,000 test images, uint8 `[N, 28, 28]`, ten classes.

    Raises:
        DataError: the package's files are missing or not the ones it was built with.
    """
    content = load_idx_folder(MINI_FOLDER)
    if content.sha256 != MINI_SHA256:
        seen = f"has SHA-256 {content.sha256}, expected {MINI_SHA256}"
        raise DataError(f"{MINI_FOLDER} {seen}; install the package again")
    return replace(content, **{**MNIST.terms, "name": MINI_NAME})
