"""What an export gives back."""

from __future__ import annotations

__all__ = ["ExportResult"]

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A finished file in memory.

    Attributes:
        model: the serialised model.
        opset: version of its default operator set.
        ir_version: version of its file format.
        operators: operator types in graph order.
    """

    model: bytes
    opset: int
    ir_version: int
    operators: tuple[str, ...]
