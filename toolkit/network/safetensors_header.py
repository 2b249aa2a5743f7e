"""The header of a safetensors file, checked before a byte of it is allocated.

Format: 8 bytes little-endian header length, JSON header, tensor data without holes
(https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

__all__ = ["TensorEntry", "check_entries", "read_header"]

import json
import math
from typing import Any, NamedTuple

from toolkit.errors import ModelError

HEADER_CAP_BYTES = 1_000_000
ITEM_BYTES = {"F32": 4, "F64": 8, "I64": 8, "U8": 1, "BOOL": 1, "F16": 2, "BF16": 2, "I32": 4}


class TensorEntry(NamedTuple):
    """Where one tensor lies.

    Attributes:
        dtype: the format's name of the element type.
        shape: sizes of the axes.
        begin: first byte, counted from the end of the header.
        end: one past the last byte.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(data: bytes, *, name: str) -> dict[str, TensorEntry]:
    """Return the entries of a safetensors file after checking that they tile its data exactly.

    Raises:
        ModelError: the header is too long, not JSON, has duplicate keys, an unknown dtype, an overlap or a hole.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(HEADER_CAP_BYTES, len(data) - 8):
        raise ModelError(
            f"{name}: the safetensors header claims {length} bytes; the file has {max(0, len(data) - 8)} after it"
        )
    try:
        header = json.loads(data[8 : 8 + length], object_pairs_hook=_unique_keys)
        header.pop("__metadata__", None)
        entries = {key: _parse_entry(value) for key, value in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"{name}: the safetensors header is not valid: {error}") from error
    _check_tiling(entries, len(data) - 8 - length, name=name)
    return entries


def check_entries(
    entries: dict[str, TensorEntry], expected: dict[str, tuple[str, tuple[int, ...]]], *, name: str
) -> None:
    """Compare what a file holds with what the network needs.

    Args:
        entries: what `read_header` returned.
        expected: dtype and shape for each tensor name.
        name: the file, for messages.

    Raises:
        ModelError: names the first tensor that is missing, extra or of another dtype or shape.
    """
    for tensor, (dtype, shape) in expected.items():
        if tensor not in entries:
            raise ModelError(f"{name}: tensor {tensor!r} is missing; this checkpoint is of another network")
        if (entries[tensor].dtype, entries[tensor].shape) != (dtype, shape):
            raise ModelError(
                f"{name}: tensor {tensor!r} is {entries[tensor].dtype} {list(entries[tensor].shape)}; "
                f"the network needs {dtype} {list(shape)}"
            )
    extra = [tensor for tensor in entries if tensor not in expected]
    if extra:
        raise ModelError(f"{name}: tensor {extra[0]!r} is not part of the network")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _parse_entry(value: dict[str, Any]) -> TensorEntry:
    begin, end = value["data_offsets"]
    entry = TensorEntry(value["dtype"], tuple(value["shape"]), begin, end)
    if entry.dtype not in ITEM_BYTES:
        raise ValueError(f"unknown dtype {entry.dtype!r}")
    if not all(type(number) is int and number >= 0 for number in (*entry.shape, begin, end)):
        raise ValueError("a size or an offset is not a whole number of at least 0")
    if math.prod(entry.shape) * ITEM_BYTES[entry.dtype] != end - begin:
        raise ValueError(f"{end - begin} bytes for shape {list(entry.shape)} of {entry.dtype}")
    return entry


def _check_tiling(entries: dict[str, TensorEntry], size: int, *, name: str) -> None:
    position = 0
    for key, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            kind = "overlaps the one before it" if entry.begin < position else "leaves a hole before it"
            raise ModelError(f"{name}: tensor {key!r} {kind} (byte {entry.begin}, expected {position})")
        position = entry.end
    if position != size:
        raise ModelError(f"{name}: the tensors end at byte {position}; the file's data has {size} bytes")
