"""Tensors of ONNX Runtime whose element type NumPy has no name for: read from and written to its own memory."""

from __future__ import annotations

__all__ = ["has_small", "run_small", "small_call"]

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.onnx_file.element_types import SMALL_BITS, TensorSpec, find_dtype, type_name
from toolkit.runtimes.base import Arrays
from toolkit.runtimes.values import Unreadable

# TensorProto's numbers of the types that an input can have; of fewer bits several share a byte.
FED = {
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
    "float8_e8m0fnu": 24,
}


def has_small(specs: Sequence[TensorSpec]) -> bool:
    """Tell whether one of some inputs or outputs is a tensor that ONNX Runtime's `run` cannot hand over."""
    return any(spec.dtype in SMALL_BITS for spec in specs)


def run_small(session: Any, outputs: Sequence[TensorSpec], feeds: Arrays) -> list[Any]:
    """Run a session some of whose inputs or outputs are such tensors.

    Args:
        session: an opened `InferenceSession`.
        outputs: what is asked for.
        feeds: every input by name; `bfloat16` and the like in the types of ml_dtypes.

    Returns:
        The outputs in order. Where an input is such a tensor, outputs that are no tensors cannot be read.

    Raises:
        UsageError: an input has fewer than 8 bits a number.
    """
    inner = [spec.name for spec in outputs if spec.dtype in SMALL_BITS]
    is_fed_small = any(type_name(array.dtype) in SMALL_BITS for array in feeds.values())
    plain = [] if is_fed_small else [spec.name for spec in outputs if spec.dtype not in SMALL_BITS]
    # Only `run` hands out sequences and maps, and only the other call these tensors: such a file is run twice.
    values = dict(zip(plain, session.run(plain, dict(feeds)), strict=True)) if plain else {}
    asked = [spec.name for spec in outputs] if is_fed_small else inner
    read = session.run_with_ort_values(asked, _to_ort(feeds))
    values |= {name: _read(value) for name, value in zip(asked, read, strict=True)}
    return [values[spec.name] for spec in outputs]


def small_call(session: Any, outputs: Sequence[str], feeds: Arrays) -> Callable[[], object]:
    """Return the call that a timing loop repeats, on values of ONNX Runtime's own; raises as `run_small`."""
    return functools.partial(session.run_with_ort_values, list(outputs), _to_ort(feeds))


def _to_ort(feeds: Arrays) -> dict[str, Any]:
    return {name: _write(name, array) for name, array in feeds.items()}


def _write(name: str, array: NDArray[Any]) -> Any:
    kind = type_name(array.dtype)
    if kind not in SMALL_BITS:
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.asarray(array, order="C"))
    if kind not in FED:
        raise UsageError(f"input {name!r} is {kind}, which ONNX Runtime's Python interface cannot be fed with")
    raw = np.ascontiguousarray(array).view(f"u{SMALL_BITS[kind] // 8}").reshape(array.shape)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(raw, FED[kind])


def _read(value: Any) -> Any:
    if not value.has_value():
        return None
    if not value.is_tensor():
        return Unreadable("ONNX Runtime's Python interface hands out no sequence beside inputs of small floats")
    kind = ORT_NAMES.get(value.element_type())
    if kind is None:
        return value.numpy()
    raw = np.frombuffer(ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes()), np.uint8)
    return _decode(raw, kind, tuple(value.shape()))


def _decode(raw: NDArray[np.uint8], kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the numbers in the bytes; where several share one, the first has its lowest bits."""
    bits, dtype = SMALL_BITS[kind], find_dtype(kind)
    numbers: NDArray[Any] = raw
    if bits < 8:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        numbers = ((raw[:, None] >> shifts) & (2**bits - 1)).ravel()[: int(np.prod(shape))]
    if kind.startswith("int"):
        half = 2 ** (bits - 1)
        numbers = (numbers.astype(np.int8) ^ half) - half
    return (numbers.astype(dtype) if "int" in kind else numbers.view(dtype)).reshape(shape)


# TensorProto's number of each type that is read here.
ORT_NAMES = {**{number: kind for kind, number in FED.items()}, 21: "uint4", 22: "int4", 23: "float4_e2m1fn"} | {
    25: "uint2",
    26: "int2",
}
