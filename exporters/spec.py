"""What an exported file must look like."""

from __future__ import annotations

__all__ = ["DEFAULT_DOMAINS", "HEAVY", "ExportError", "ExportSpec", "first_line"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

DEFAULT_DOMAINS = {"", "ai.onnx"}
# What makes a graph heavy.
HEAVY = {"Conv", "Gemm", "MatMul"}


class ExportError(Exception):
    """The exporter failed, or wrote something that its spec forbids."""


def first_line(error: BaseException) -> str:
    """Return what an error of somebody else's says, without its further lines; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """Names, sizes left open and versions of the file; by default those of an image classifier of ours.

    Attributes:
        input_names: names of the inputs, in the order in which the module takes them.
        output_names: names of the outputs, in the order in which the module returns them.
        dynamic: name of each symbolic axis, by input and dimension; every other size is the example's.
        opset: version of the default ONNX operator set.
        max_ir_version: newest file format version allowed.
    """

    input_names: tuple[str, ...] = ("images",)
    output_names: tuple[str, ...] = ("logits", "probabilities", "label")
    dynamic: Mapping[str, Mapping[int, str]] = field(
        default_factory=lambda: MappingProxyType({"images": MappingProxyType({0: "batch"})})
    )
    opset: int = 18
    max_ir_version: int = 10
