"""Tensors on the wire: the protocol's datatypes, JSON lists and raw little-endian bytes, both ways, exactly or refused.

Source: Open Inference Protocol v2, "Tensor Data", and Triton's extension for binary tensors.
"""

from __future__ import annotations

__all__ = ["DATATYPES", "from_json", "from_raw", "require_count", "to_json", "to_raw"]

import itertools
import math
import re
import struct
from collections.abc import Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import STRING, type_name
from toolkit.serving.codec.refusal import RefusedError

# Names of our element types, by the protocol's word for each.
DATATYPES = {
    "bool": "BOOL",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "bfloat16": "BF16",
    STRING: "BYTES",
}
NOT_IN_JSON = ("FP16", "BF16")
EXPECTED = {"BOOL": "true or false", "BYTES": "a string"}
# Before each string its length in bytes.
LENGTH = struct.Struct("<I")
# A surrogate, of which JSON can write one alone and UTF-8 cannot.
HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def from_json(data: Any, shape: tuple[int, ...], *, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Return a tensor of a JSON list, flat or nested, row by row.

    Args:
        data: as JSON was read.
        shape: as the request states it, every size 0 or more.
        dtype: of the tensor.
        name: of the input, for messages.

    Raises:
        RefusedError: another number of elements, or one that the type cannot hold; says which and where.
    """
    datatype = DATATYPES[type_name(dtype)]
    if datatype in NOT_IN_JSON:
        raise RefusedError(f"input {name!r} is {datatype}, which JSON cannot carry; send it as binary data")
    if type(data) is not list:
        raise RefusedError(f"input {name!r} has data of JSON type {_kind(data)}; expected a list")
    flat = _flatten(data, shape, name=name)
    require_count(flat, shape, name=name)
    kinds: tuple[type, ...] = {"b": (bool,), "f": (int, float), "U": (str,)}.get(dtype.kind, (int,))
    if not set(map(type, flat)) <= set(kinds):
        at = next(at for at, value in enumerate(flat) if type(value) not in kinds)
        raise _bad_element(name, at, value=flat[at], datatype=datatype)
    if dtype.kind in "iu":
        return _whole_numbers(flat, dtype, name=name).reshape(shape)
    if dtype.kind == "f":
        return _floats(flat, dtype, name=name).reshape(shape)
    return (_texts(flat, name=name) if dtype.kind == "U" else np.array(flat, dtype)).reshape(shape)


def from_raw(data: memoryview, shape: tuple[int, ...], *, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Return a tensor of raw bytes; arguments and errors as of `from_json`. Numbers are not copied."""
    if dtype.kind == "U":
        return _from_lengths(bytes(data), shape, name=name)
    size = math.prod(shape) * dtype.itemsize
    if len(data) != size:
        needed = f"{DATATYPES[type_name(dtype)]} {list(shape)} needs {size}"
        raise RefusedError(f"input {name!r} has {len(data)} bytes of binary data; {needed}")
    if dtype.kind == "b" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise RefusedError(f"input {name!r} is BOOL and has a byte over 1; expected 0 or 1")
    return np.frombuffer(data, dtype).reshape(shape)


def to_json(array: NDArray[Any], *, name: str) -> list[Any]:
    """Return a tensor's elements as a flat list.

    Raises:
        RefusedError: JSON cannot carry them.
    """
    datatype = DATATYPES[type_name(array.dtype)]
    if datatype in NOT_IN_JSON:
        raise RefusedError(f"output {name!r} is {datatype}, which JSON cannot carry; ask for it with binary_data")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RefusedError(
            f"output {name!r} holds NaN or infinity, which JSON cannot carry; ask for it with binary_data"
        )
    flat: list[Any] = array.ravel().tolist()
    return flat


def to_raw(array: NDArray[Any]) -> bytes:
    """Return a tensor's elements as raw little-endian bytes; before each string its length."""
    if array.dtype.kind == "U":
        texts = [text.encode() for text in array.ravel().tolist()]
        return b"".join(itertools.chain.from_iterable((LENGTH.pack(len(text)), text) for text in texts))
    return array.tobytes()  # little-endian as every machine that ONNX Runtime is built for


def require_count(flat: Sized, shape: tuple[int, ...], *, name: str) -> None:
    """Refuse another number of elements than a shape has.

    Raises:
        RefusedError: it is another one.
    """
    if len(flat) != math.prod(shape):
        raise RefusedError(f"input {name!r} has {len(flat)} elements; shape {list(shape)} needs {math.prod(shape)}")


def _flatten(data: list[Any], shape: tuple[int, ...], *, name: str) -> list[Any]:
    if list not in map(type, data):
        return data
    level = [data]
    for size in shape:
        if any(type(part) is not list or len(part) != size for part in level):
            raise RefusedError(f"input {name!r} has lists that are not nested as its shape {list(shape)} says")
        level = list(itertools.chain.from_iterable(level))
    return level


def _whole_numbers(flat: list[int], dtype: np.dtype[Any], *, name: str) -> NDArray[Any]:
    limits = np.iinfo(dtype)
    try:
        numbers = np.fromiter(flat, np.int64 if dtype != np.uint64 else dtype, len(flat))
        is_held = limits.min <= numbers.min(initial=0) and numbers.max(initial=0) <= limits.max
    except OverflowError:
        is_held = False
    if not is_held:
        at = next(at for at, value in enumerate(flat) if not limits.min <= value <= limits.max)
        raise _bad_element(name, at, value=flat[at], datatype=DATATYPES[type_name(dtype)])
    return numbers.astype(dtype, copy=False)


def _floats(flat: list[float], dtype: np.dtype[Any], *, name: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        try:
            numbers = np.array(flat, np.float64).astype(dtype)
        except OverflowError:  # a whole number past every float
            numbers = np.array([np.inf if abs(value) > 1e308 else value for value in flat], dtype)
    if not np.isfinite(numbers).all():
        at = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise _bad_element(name, at, value=flat[at], datatype=DATATYPES[type_name(dtype)])
    return numbers


def _from_lengths(data: bytes, shape: tuple[int, ...], *, name: str) -> NDArray[Any]:
    texts: list[str] = []
    at = 0
    while at < len(data):
        start = at + LENGTH.size
        end = start + LENGTH.unpack_from(data, at)[0] if start <= len(data) else -1
        if not start <= end <= len(data):
            raise RefusedError(f"input {name!r}: string {len(texts)} reaches past the {len(data)} bytes of binary data")
        try:
            texts.append(data[start:end].decode())
        except UnicodeDecodeError as error:
            raise RefusedError(f"input {name!r}: string {len(texts)} is not UTF-8") from error
        at = end
    if len(texts) != math.prod(shape):
        raise RefusedError(f"input {name!r} has {len(texts)} strings; shape {list(shape)} needs {math.prod(shape)}")
    return _texts(texts, name=name).reshape(shape)


def _texts(flat: list[str], *, name: str) -> NDArray[np.str_]:
    for at, text in enumerate(flat):
        # NumPy takes zeros at the end for no part of a string, and half of a pair is no character.
        if text.endswith("\0") or HALF_CHARACTER.search(text):
            raise RefusedError(f"input {name!r}, element {at} ends in a zero byte or holds half a character")
    return np.array(flat, np.str_)


def _bad_element(name: str, at: int, *, value: Any, datatype: str) -> RefusedError:
    seen = str(value) if type(value) in {int, float, bool} else f"of JSON type {_kind(value)}"
    return RefusedError(
        f"input {name!r}, element {at} is {seen[:40]}; expected {EXPECTED.get(datatype) or _range(datatype)}"
    )


def _range(datatype: str) -> str:
    word = next(word for word, known in DATATYPES.items() if known == datatype)
    limits: Any = np.iinfo(word) if "int" in word else np.finfo(word)
    kind = "a whole number" if "int" in word else "a number"
    return f"{kind} from {limits.min} to {limits.max}"


def _kind(value: Any) -> str:
    kinds = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
