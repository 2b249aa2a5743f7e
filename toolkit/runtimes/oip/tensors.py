"""Tensors of the protocol from the client's side: the words for their types, and their values in JSON and as bytes.

The server of this product has a codec of its own: were it this one, a fault in it would agree with itself.
"""

from __future__ import annotations

__all__ = ["DATATYPES", "drop_ones", "from_bytes", "from_json", "require_same", "to_bytes"]

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.onnx_file.element_types import STRING, TensorSpec

# The protocol's word for each of our element types; it has none for the others.
DATATYPES = {
    **{f"{kind}int{size}": f"{kind.upper()}INT{size}" for kind in ("", "u") for size in (8, 16, 32, 64)},
    **{f"float{size}": f"FP{size}" for size in (16, 32, 64)},
    "bool": "BOOL",
    STRING: "BYTES",
}
# A datatype and sizes, -1 where one is open.
_Told = tuple[str | None, tuple[int, ...]]


def drop_ones(shape: Sequence[int], rank: int) -> list[int]:
    """Return an output's shape without sizes of 1 past the file's rank: Triton tells one number a row as a row of one.

    Args:
        shape: as a server tells it.
        rank: of the file's output; 0 where that is not told.
    """
    return list(shape[:rank] if rank and all(size == 1 for size in shape[rank:]) else shape)


def require_same(told: list[dict[str, Any]], specs: tuple[TensorSpec, ...], *, words: str) -> None:
    """Refuse a model whose inputs or outputs are not the file's.

    A size that the server leaves open may be fixed in the file, which the answers show; not the other way round.

    Args:
        told: by the server's metadata.
        specs: of the file.
        words: how a message begins.

    Raises:
        ModelError: names, types or sizes differ.
    """
    seen = {item["name"]: (item["datatype"], tuple(item["shape"])) for item in told}
    wanted = {
        spec.name: (DATATYPES.get(spec.dtype), tuple(size if isinstance(size, int) else -1 for size in spec.shape))
        for spec in specs
    }
    if seen.keys() != wanted.keys() or not all(_fits(seen[name], own) for name, own in wanted.items()):
        raise ModelError(f"{words} {_say(seen)}; the file has {_say(wanted)}; serve this file there, or name another")


def _fits(seen: _Told, own: _Told) -> bool:
    pairs = zip(seen[1], own[1], strict=False)
    return seen[0] == own[0] and len(seen[1]) == len(own[1]) and all(size in {-1, want} for size, want in pairs)


def _say(specs: Mapping[str, _Told]) -> str:
    return ", ".join(f"{name} {datatype} {list(shape)}" for name, (datatype, shape) in specs.items()) or "none"


def to_bytes(array: NDArray[Any]) -> bytes:
    """Return a tensor's values, little-endian and row by row; before each string its length in 4 bytes."""
    if array.dtype.kind not in "USO":
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    texts = (str(value).encode() for value in array.flat)
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def from_bytes(data: memoryview, dtype: str) -> NDArray[Any]:
    """Return the values of `to_bytes`, flat.

    Raises:
        ValueError, struct.error: the bytes are no such values.
    """
    if dtype != STRING:
        return np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False)
    values: list[str] = []
    place = 0
    while place < len(data):
        (size,) = struct.unpack_from("<I", data, place)
        values.append(str(data[place + 4 : place + 4 + size], "utf-8"))
        place += 4 + size
    return np.array(values, object)


def from_json(values: Any, dtype: str) -> NDArray[Any]:
    """Return what JSON holds in its type.

    Raises:
        ValueError: text or a fraction stands in the place of a whole number, or the like.
    """
    array = np.array(values, object).reshape(-1)
    kinds: dict[str, set[type]] = {STRING: {str}, "bool": {bool}}
    numbers: set[type] = {int, float} if dtype.startswith("float") else {int}
    if not {type(value) for value in array} <= kinds.get(dtype, numbers):
        raise ValueError(f"the data of an output are no {dtype}")
    return array if dtype == STRING else array.astype(dtype)
