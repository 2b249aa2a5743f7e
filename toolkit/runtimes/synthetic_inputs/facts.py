"""What a file says of one of its inputs: type, sizes, and what its numbers have to be."""

from __future__ import annotations

__all__ = ["Axis", "InputFacts", "Need", "declared_axis", "facts_of_spec"]

from dataclasses import dataclass
from typing import NamedTuple

from toolkit.onnx_file.element_types import TensorSpec


class Axis(NamedTuple):
    """One axis of an input.

    Attributes:
        size: what is declared, or what the operator that reads it needs; None where neither tells.
        symbol: the declared name of an open size; empty where it has none.
        role: `batch`, `image` or `sequence`; empty where the graph does not tell.
        is_open: whether the file declares no size.
    """

    size: int | None
    symbol: str = ""
    role: str = ""
    is_open: bool = False


class Need(NamedTuple):
    """What the numbers of an input have to be.

    Attributes:
        role: `free` numbers are drawn as they come; `range`, `index` and `number` lie between `low` and `high`; `fill`
            is one number, the first of `choices`; `mask`, `length` and `pick` say what they are.
        low: least number.
        high: largest number; for `index` the last row of the smallest table.
        choices: for `fill` and `pick` the numbers that it may be, the first of them before the others.
    """

    role: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[float, ...] = ()


FREE = Need("free")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What a file says of one of its inputs.

    Attributes:
        name: of the input.
        dtype: NumPy name of the element type, or the format's own word for what NumPy has not.
        axes: from the first to the last; None where not even the rank is declared.
        need: what its numbers have to be.
    """

    name: str
    dtype: str
    axes: tuple[Axis, ...] | None
    need: Need = FREE


def facts_of_spec(spec: TensorSpec) -> InputFacts:
    """Return what an engine tells of an input, where nobody has read the graph."""
    return InputFacts(name=spec.name, dtype=spec.dtype, axes=tuple(map(declared_axis, spec.shape)))


def declared_axis(size: int | str | None) -> Axis:
    """Return an axis as it is declared; a size of 0 or less is what some exporters write for an open one."""
    if isinstance(size, int) and size > 0:
        return Axis(size)
    return Axis(None, size if isinstance(size, str) else "", is_open=True)
