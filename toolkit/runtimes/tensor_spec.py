"""What is told of one input or output, and whether an array is that."""

from __future__ import annotations

__all__ = ["TensorSpec"]

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from toolkit.runtimes.element_types import type_name


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
