"""Data sets: reading, fetching, splitting."""

from __future__ import annotations

__all__ = ["Dataset", "Split", "load_dataset"]

from toolkit.data.dataset import Dataset, Split
from toolkit.data.load import load_dataset
