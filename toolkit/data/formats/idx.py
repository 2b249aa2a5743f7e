"""IDX, the file format of MNIST, and a folder with four such files, under the usual names or the tutorial's.

A file is two zero bytes, a byte for the elements' type, a byte for the rank, the dimensions as big-endian 32-bit
numbers, then the elements, the last dimension running fastest.

Source of the format: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

__all__ = ["MAX_BODY_BYTES", "has_idx_files", "load_idx_folder", "read_idx", "read_idx_shape"]

import io
import math
import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from toolkit.containers.unpacked import UnpackBudget, open_unpacked, read_up_to
from toolkit.data.dataset import Dataset, Split
from toolkit.errors import DataError
from toolkit.regular_file import open_regular

MAX_BODY_BYTES = 1 << 30
UINT8_CODE = 0x08
ELEMENT_TYPES = {0x08: "uint8", 0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
MAX_HEADER_BYTES = 4 + 4 * 255  # the rank is one byte
# Trailing bytes are counted for the message up to here; a gzip bomb is not unpacked to its end for it.
MAX_COUNTED_REST_BYTES = 1 << 20
IMAGE_RANKS = (3, 4)
LABEL_RANKS = (1,)
CONTENTS = {"images": IMAGE_RANKS, "labels": LABEL_RANKS}
PREFIXES = {"train": ("train",), "test": ("t10k", "test")}


def read_idx(
    source: Path | bytes,
    *,
    ranks: tuple[int, ...] = (1, 3, 4),
    max_bytes: int = MAX_BODY_BYTES,
    name: str | None = None,
) -> npt.NDArray[np.uint8]:
    """Read one IDX file of uint8 elements, gzip or not (judged by content).

    Args:
        source: a regular file, or its bytes.
        ranks: the numbers of dimensions that are accepted.
        max_bytes: the most bytes of elements that are read, whatever the header or the gzip data say.
        name: what the source is called in messages; the path by default.

    Returns:
        uint8, writable, of the header's shape.

    Raises:
        DataError: the file cannot be read, its header names another type, rank or size, or its body is not exactly as
            long as its header says.
    """
    title = name or (str(source) if isinstance(source, Path) else "IDX data")
    if isinstance(source, bytes):
        return _read_array(io.BytesIO(source), ranks=ranks, max_bytes=max_bytes, name=title)
    with open_regular(source, name=title) as stream:
        return _read_array(stream, ranks=ranks, max_bytes=max_bytes, name=title)


def read_idx_shape(stream: BinaryIO, *, ranks: tuple[int, ...], name: str) -> tuple[int, ...]:
    """Read an IDX header of uint8 elements and return its dimensions; the stream is left at the first element.

    Args:
        stream: at the first byte.
        ranks: the numbers of dimensions that are accepted.
        name: what the source is called in messages.

    Raises:
        DataError: it is not IDX, or names another type or rank.
    """
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in ELEMENT_TYPES:
        found = magic.hex(" ") or "nothing"
        raise DataError(f"{name} is not an IDX file: it begins with {found}, expected 00 00 08 and the rank")
    if magic[2] != UINT8_CODE:
        found = f"{ELEMENT_TYPES[magic[2]]} (type 0x{magic[2]:02x})"
        raise DataError(f"{name} holds {found} elements; expected uint8 (type 0x08)")
    rank = magic[3]
    if rank not in ranks:
        raise DataError(f"{name} has rank {rank}; expected {' or '.join(map(str, ranks))}")
    packed = stream.read(4 * rank)
    if len(packed) < 4 * rank:
        raise DataError(f"{name} is short: {4 + len(packed)} bytes of header, expected {4 + 4 * rank} for rank {rank}")
    return struct.unpack(f">{rank}I", packed)


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
        for name in _possible_names(prefixes, content, ranks=ranks)
    )


def _read_array(stream: BinaryIO, *, ranks: tuple[int, ...], max_bytes: int, name: str) -> npt.NDArray[np.uint8]:
    budget = UnpackBudget(name, most_bytes=max_bytes + MAX_HEADER_BYTES + MAX_COUNTED_REST_BYTES)
    plain = open_unpacked(stream, name=name, budget=budget)
    shape = read_idx_shape(plain, ranks=ranks, name=name)
    expected = math.prod(shape)
    if expected > max_bytes:
        raise DataError(f"{name}: dimensions {list(shape)} need {expected} bytes; the cap is {max_bytes}")
    # One byte more than expected makes a gzip stream go on to its end, where its checksum stands.
    body = read_up_to(plain, expected + 1)
    if len(body) < expected:
        raise DataError(f"{name} is short: {len(body)} bytes of elements, expected {expected} for {list(shape)}")
    if len(body) > expected:
        found = len(body) + len(read_up_to(plain, MAX_COUNTED_REST_BYTES))
        least = "at least " if found > expected + MAX_COUNTED_REST_BYTES else ""
        size = f"{least}{found} bytes of elements, expected {expected} for {list(shape)}"
        raise DataError(f"{name} has trailing bytes: {size}")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _find_files(folder: Path) -> tuple[tuple[Path, Path], tuple[Path, Path]]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; expected a folder with four IDX files")
    missing: list[str] = []
    found: list[Path] = []
    for split, prefixes in PREFIXES.items():
        for content, ranks in CONTENTS.items():
            names = _possible_names(prefixes, content, ranks=ranks)
            # lexists: a broken link or a FIFO is reported as itself, not as missing.
            path = next((folder / name for name in names if os.path.lexists(folder / name)), None)
            if path is None:
                missing.append(f"{split} {content} ({names[0]})")
            else:
                found.append(path)
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}; expected four IDX files, plain or .gz")
    return (found[0], found[1]), (found[2], found[3])


def _possible_names(prefixes: tuple[str, ...], content: str, *, ranks: tuple[int, ...]) -> list[str]:
    return [
        f"{prefix}-{content}{mark}idx{rank}-ubyte{ending}"
        for prefix in prefixes
        for rank in ranks
        for mark in "-."
        for ending in ("", ".gz")
    ]


def _load_split(images: Path, labels: Path, *, max_bytes: int) -> Split:
    pixels = read_idx(images, ranks=IMAGE_RANKS, max_bytes=max_bytes)
    values = read_idx(labels, ranks=LABEL_RANKS, max_bytes=max_bytes)
    try:
        return Split(images=pixels, labels=values.astype(np.int64))
    except DataError as error:
        raise DataError(f"{images.name} and {labels.name} in {images.parent}: {error}") from error
