"""Paths that hold no model: other formats, cut or flipped bytes, and things that are no regular file."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

__all__ = ["FLIPPED", "NOT_MODELS"]

Writer = Callable[[Path, bytes], object]
FLIP_SEED = 20_261_125
FLIPS = 8


def _png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(stream, "png")
    return stream.getvalue()


def _zip(good: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model.onnx", good)
    return stream.getvalue()


def _safetensors() -> bytes:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


def _sparse(path: Path, _: bytes) -> None:
    with path.open("wb") as stream:
        stream.truncate((2 << 30) + 1)


def _with_metadata(good: bytes, key: str, value: str) -> bytes:
    model = onnx.ModelProto.FromString(good)
    entry = model.metadata_props.add()
    entry.key, entry.value = key, value
    return model.SerializeToString()


def _flipped(number: int) -> Writer:
    def write(path: Path, good: bytes) -> None:
        # The first kilobytes hold nodes and names; further on are weights, where a flip makes another valid model.
        place = int(np.random.default_rng([FLIP_SEED, number]).integers(0, 4000 * 8))
        changed = bytearray(good)
        changed[place // 8] ^= 1 << (place % 8)
        path.write_bytes(changed)

    return write


def _holding(make: Callable[[bytes], bytes]) -> Writer:
    return lambda path, good: path.write_bytes(make(good))


NOT_MODELS: dict[str, Writer] = {
    "empty": _holding(lambda _: b""),
    "one zero byte": _holding(lambda _: b"\0"),
    "text": _holding(lambda _: b"this is not a model, it is a sentence\n" * 20),
    "JSON": _holding(lambda _: b'{"graph": {"node": []}}'),
    "a PNG": _holding(lambda _: _png()),
    "a pickle": _holding(lambda _: pickle.dumps({"weights": [1.0]})),
    "a safetensors file": _holding(lambda _: _safetensors()),
    "a zip with the model": _holding(_zip),
    "the model, gzipped": _holding(lambda good: gzip.compress(good, 1)),
    "noise": _holding(lambda _: np.random.default_rng(1).bytes(5000)),
    "cut after 100 bytes": _holding(lambda good: good[:100]),
    "cut after an eighth": _holding(lambda good: good[: len(good) // 8]),
    "cut in the middle": _holding(lambda good: good[: len(good) // 2]),
    "its last byte missing": _holding(lambda good: good[:-1]),
    "its first byte missing": _holding(lambda good: good[1:]),
    "a folder": lambda path, _: path.mkdir(),
    "a FIFO": lambda path, _: os.mkfifo(path),
    "a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path, _: path.symlink_to("nowhere.onnx"),
    "a link to itself": lambda path, _: path.symlink_to(path.name),
    "a hole of 2 GB": _sparse,
    "a card of 100 MB": _holding(lambda good: _with_metadata(good, "toolkit.card", "x" * 100_000_000)),
}
FLIPPED: dict[str, Writer] = {f"bit {number} flipped": _flipped(number) for number in range(FLIPS)}
