"""What an exported file must look like."""

from __future__ import annotations

__all__ = ["DEFAULT_DOMAINS", "HEAVY", "ExportError", "ExportSpec", "first_line"]

from dataclasses import dataclass

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
    """Names, shapes and versions of the file.

    Attributes:
        input_name: name of the one input.
        input_dtype: NumPy name of its element type, e.g. `uint8`.
        input_shape: shape of one item, without the batch axis.
        output_names: names of the outputs, in the order in which the module returns them.
        batch_axis: name of the symbolic first axis.
        opset: version of the default ONNX operator set.
        max_ir_version: newest file format version allowed.
    """

    input_name: str = "images"
    input_dtype: str = "uint8"
    input_shape: tuple[int, ...]
    output_names: tuple[str, ...] = ("logits", "probabilities", "label")
    batch_axis: str = "batch"
    opset: int = 18
    max_ir_version: int = 10
