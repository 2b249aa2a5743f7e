"""What a data set holds, and what a fetch left, as reports; which of its images to show."""

from __future__ import annotations

__all__ = [
    "INFO_SCHEMA",
    "default_class",
    "describe_dataset",
    "describe_split",
    "fetch_by_name",
    "first_of_class",
    "first_of_each_class",
]

import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.data.catalog.entries import MINI_NAME, MNIST, find_entry
from toolkit.data.catalog.fetch import fetch
from toolkit.data.dataset import Dataset, Split
from toolkit.data.load import MINI_FOLDER, load_mini
from toolkit.durable import sha256_file
from toolkit.errors import UsageError, suggest
from toolkit.progress import ShowProgress, tell_nobody

INFO_SCHEMA = "toolkit/data/1"
FETCH_SCHEMA = "toolkit/data-fetch/1"
# The tutorial shows ten fives.
PREFERRED_CLASS = "5"


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return a JSON-ready report: sizes, counts of each class, and the training pixels' mean and deviation (0-255)."""
    return {
        "schema": INFO_SCHEMA,
        "name": dataset.name,
        "sha256": dataset.sha256,
        "licence": dataset.licence,
        "classes": list(dataset.classes),
        "input": dataset.describe_input(),
        "train": describe_split(dataset.train.labels, dataset.classes),
        "test": describe_split(dataset.test.labels, dataset.classes),
        "train_pixels": _describe_pixels(dataset.train),
    }


def fetch_by_name(name: str, *, progress: ShowProgress = tell_nobody) -> dict[str, Any]:
    """Fetch a data set and return a JSON-ready report of its folder and its verified files.

    Keys:
        name: of the data set.
        folder: where it lies.
        files: `name`, `size_bytes` and `sha256` of each.
        licence: of the pictures.
        attribution: whom to name, in a sentence.

    Raises:
        UsageError: no such name.
        DataError: the embedded subset is damaged.
        DownloadError: it could not be fetched, or a cached file has changed since.
        ResourceError: the cache cannot be written.
    """
    if name == MINI_NAME:
        load_mini()  # checks the content's hash
        entry, folder = MNIST, MINI_FOLDER
        files = [
            {"name": path.name, "size_bytes": path.stat().st_size, "sha256": sha256_file(path)}
            for path in sorted(folder.glob("*-ubyte.gz"))
        ]
    else:
        entry = find_entry(name)
        folder = fetch(entry, progress=progress)
        files = [{"name": file.name, "size_bytes": file.size_bytes, "sha256": file.sha256} for file in entry.files]
    return {
        "schema": FETCH_SCHEMA,
        "name": name,
        "folder": str(folder),
        "files": files,
        "licence": entry.licence,
        "attribution": entry.attribution,
    }


def describe_split(labels: npt.NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Any]:
    """Return how many images a split has, in all and of each class."""
    counts = np.bincount(labels, minlength=len(classes))
    return {"count": len(labels), "per_class": {name: int(count) for name, count in zip(classes, counts, strict=True)}}


def _describe_pixels(split: Split) -> dict[str, float]:
    """Return exact statistics from a histogram, counted in pieces: a float64 copy of MNIST would take 376 MB."""
    histogram = np.zeros(256, dtype=np.int64)
    for piece in split.iterate_pieces():
        histogram += np.bincount(piece.ravel(), minlength=256)
    values = np.arange(256)
    mean = float(histogram @ values / histogram.sum())
    variance = float(histogram @ (values - mean) ** 2 / histogram.sum())
    present = np.flatnonzero(histogram)
    return {"mean": mean, "std": variance**0.5, "min": int(present[0]), "max": int(present[-1])}


def default_class(dataset: Dataset) -> str:
    """Return the class to show when none is asked for: "5", or the first image's where there is no such class."""
    if PREFERRED_CLASS in dataset.classes:
        return PREFERRED_CLASS
    return dataset.classes[int(dataset.train.labels[0])]


def first_of_each_class(dataset: Dataset, rows: int) -> npt.NDArray[np.int64]:
    """Return the indices of the first training images of each class: row r holds every class's r-th image.

    Args:
        dataset: where to look.
        rows: images of each class, at least 1; fewer where a class has fewer.

    Returns:
        int64 `[rows, classes]`; classes without any training image are left out.
    """
    labels = dataset.train.labels
    positions = [np.flatnonzero(labels == label)[:rows] for label in np.unique(labels)]
    depth = min(len(column) for column in positions)
    return np.stack([column[:depth] for column in positions], axis=1).astype(np.int64)


def first_of_class(dataset: Dataset, name: str, *, count: int) -> npt.NDArray[np.int64]:
    """Return the indices of the first `count` training images of the class called `name`, int64 `[<= count]`.

    Raises:
        UsageError: no such class, or no training image of it.
    """
    name = unicodedata.normalize("NFC", name)
    if name not in dataset.classes:
        known = ", ".join(dataset.classes)
        raise UsageError(
            f"no class {name!r} in {dataset.name}{suggest(name, dataset.classes)}; expected one of {known}"
        )
    found = np.flatnonzero(dataset.train.labels == dataset.classes.index(name))[:count]
    if not len(found):
        raise UsageError(f"class {name!r} of {dataset.name} has no training image; choose another class")
    return found.astype(np.int64)
