"""Element types of tensors, those that NumPy has no name for among them, and what is told of one input or output."""

from __future__ import annotations

__all__ = ["SMALL_BITS", "STRING", "TensorSpec", "find_dtype", "find_finite", "float_limits", "is_float", "type_name"]

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

STRING = "string"
# Bits of one number as ONNX stores it; the names are those of ml_dtypes, which has NumPy types for them.
SMALL_BITS = {
    "bfloat16": 16,
    "float8_e4m3fn": 8,
    "float8_e4m3fnuz": 8,
    "float8_e5m2": 8,
    "float8_e5m2fnuz": 8,
    "float8_e8m0fnu": 8,
    "float4_e2m1fn": 4,
    "int4": 4,
    "uint4": 4,
    "int2": 2,
    "uint2": 2,
}
FLOATS = {"float64", "float32", "float16", "bfloat16"}


class FloatLimits(NamedTuple):
    """Of a float type: the distance from 1 to the next number, and the least number that is normal."""

    eps: float
    tiny: float


@functools.lru_cache(maxsize=1000)  # NumPy makes the name anew each time, which takes as long as to read a small tensor
def type_name(dtype: np.dtype[Any]) -> str:
    """Return the name of an element type; `string` whatever the longest of an array is."""
    return STRING if dtype.kind in "US" else dtype.name


def find_dtype(name: str) -> np.dtype[Any]:
    """Return NumPy's type of a name that `type_name` gives.

    Raises:
        TypeError: no type has it.
    """
    if name == STRING:
        return np.dtype(np.str_)
    if name in SMALL_BITS:
        import ml_dtypes

        small: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return small
    return np.dtype(name)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Tell whether numbers of a type are rounded results.

    Those of 8 bits and fewer are what a quantiser makes: steps, which are equal or not, as whole numbers are.
    """
    return dtype.name in FLOATS


def float_limits(dtype: np.dtype[Any]) -> FloatLimits:
    """Return the limits of a type for which `is_float` holds."""
    if dtype.name == "bfloat16":
        return FloatLimits(eps=2.0**-7, tiny=float(np.finfo(np.float32).tiny))  # float32's exponent, 7 bits behind it
    limits = np.finfo(dtype)
    return FloatLimits(eps=float(limits.eps), tiny=float(limits.tiny))


def find_finite(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where an array holds something that can be compared: a finite number, or any string."""
    if array.dtype.kind == "U":
        return np.ones(array.shape, np.bool_)
    return np.asarray(np.isfinite(array))


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: its name.
        dtype: name of the element type, as `type_name` gives it; for what is no tensor, or is not told, a word with
            brackets: `seq(tensor(float))`.
        shape: sizes; a name or None where a size is symbolic; empty for a scalar, and where the rank is not told.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes as numbers, -1 where one is symbolic."""
        return tuple(size if isinstance(size, int) else -1 for size in self.shape)

    def explain_mismatch(self, array: NDArray[Any]) -> str | None:
        """Return None where the array fits, else what was seen and what was expected."""
        seen = type_name(array.dtype)
        if seen == self.dtype and self.has_sizes(array):
            return None
        return f"{self.name!r} is {seen} {list(array.shape)}; expected {self.dtype} {list(self.shape)}"

    def has_sizes(self, array: NDArray[Any]) -> bool:
        """Tell whether an array has the sizes that are told."""
        same_rank = not self.shape or array.ndim == len(self.shape)
        pairs = zip(self.shape, array.shape, strict=False)
        return same_rank and all(not isinstance(want, int) or want == seen for want, seen in pairs)
