"""IDX files as MNIST's authors wrote them, for the tests that read such files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np


def encode_idx(array: np.ndarray, *, compress: bool = False) -> bytes:
    """The bytes of an IDX file of uint8 elements; packed without name or time."""
    data = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    return gzip.compress(data, compresslevel=9, mtime=0) if compress else data


def write_idx(path: Path, array: np.ndarray, *, compress: bool = False) -> None:
    path.write_bytes(encode_idx(array, compress=compress))
