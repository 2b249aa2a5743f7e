"""8-bit operators: DequantizeLinear."""

from __future__ import annotations

__all__: list[str] = []

from onnx.reference.ops.op_dequantize_linear import DequantizeLinear_25

from toolkit.runtimes.references.operators.declared import operator

# Changelog.md, DequantizeLinear-10 and -13 differ from -19 in their types only; the evaluator (1.23) begins with that.
operator("DequantizeLinear", before=19)(DequantizeLinear_25)
