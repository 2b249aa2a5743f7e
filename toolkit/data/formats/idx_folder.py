"""A folder with four IDX files, under the usual names or the tutorial's."""

from __future__ import annotations

__all__ = ["has_idx_files", "load_idx_folder"]

import os
from pathlib import Path

import numpy as np

from toolkit.data.dataset import Dataset, Split
from toolkit.data.formats.idx import MAX_BODY_BYTES, read_idx
from toolkit.errors import DataError

IMAGE_RANKS = (3, 4)
LABEL_RANKS = (1,)
CONTENTS = {"images": IMAGE_RANKS, "labels": LABEL_RANKS}
PREFIXES = {"train": ("train",), "test": ("t10k", "test")}


def load_idx_folder(folder: Path, *, max_bytes: int = MAX_BODY_BYTES) -> Dataset:
    """Load four IDX files, plain or gzip: images and labels for training and for testing.

    Names are `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, likewise `-labels-idx1-`, `t10k-` or `test-`, each
    with or without `.gz`. Classes are "0" to the largest training label.

    Args:
        folder: where the files lie; its name becomes the data set's.
        max_bytes: the most bytes read from any one file.

    Raises:
        DataError: a file is missing (each is named) or is not what its name says.
    """
    train_files, test_files = _find_files(folder)
    train = _load_split(*train_files, max_bytes=max_bytes)
    test = _load_split(*test_files, max_bytes=max_bytes)
    if not len(train):
        raise DataError(f"{folder}: the training files hold no images; expected at least 1")
    classes = tuple(str(value) for value in range(int(train.labels.max()) + 1))
    return Dataset(
        name=folder.resolve().name or "folder",
        train=train,
        test=test,
        classes=classes,
        has_names=False,
    )


def has_idx_files(folder: Path) -> bool:
    """Say whether any of the four files' names stands in a folder."""
    return any(
        os.path.lexists(folder / name)
        for prefixes in PREFIXES.values()
        for content, ranks in CONTENTS.items()
        for name in _possible_names(prefixes, content, ranks)
    )


def _possible_names(prefixes: tuple[str, ...], content: str, ranks: tuple[int, ...]) -> list[str]:
    return [
        f"{prefix}-{content}{mark}idx{rank}-ubyte{ending}"
        for prefix in prefixes
        for rank in ranks
        for mark in "-."
        for ending in ("", ".gz")
    ]


def _find_files(folder: Path) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; expected a folder with four IDX files")
    missing: list[str] = []
    found: list[Path] = []
    for split, prefixes in PREFIXES.items():
        for content, ranks in CONTENTS.items():
            names = _possible_names(prefixes, content, ranks)
            # lexists: a broken link or a FIFO is reported as itself, not as missing.
            path = next((folder / name for name in names if os.path.lexists(folder / name)), None)
            if path is None:
                missing.append(f"{split} {content} ({names[0]})")
            else:
                found.append(path)
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}; expected four IDX files, plain or .gz")
    return (found[0], found[1]), (found[2], found[3])


def _load_split(images: Path, labels: Path, *, max_bytes: int) -> Split:
    pixels = read_idx(images, ranks=IMAGE_RANKS, max_bytes=max_bytes)
    values = read_idx(labels, ranks=LABEL_RANKS, max_bytes=max_bytes)
    try:
        return Split(images=pixels, labels=values.astype(np.int64))
    except DataError as error:
        raise DataError(f"{images.name} and {labels.name} in {images.parent}: {error}") from error
