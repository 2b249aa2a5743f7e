"""A torch module or a graph, and a spec, go in; a file and a result come out. Knows nothing of the toolkit."""

from __future__ import annotations

__all__ = [
    "ExportError",
    "ExportResult",
    "ExportSpec",
    "Int8Setting",
    "convert_to_half",
    "export_torch",
    "export_torch_script",
    "finish_model",
    "quantise_apart",
]

from .finish import ExportResult, finish_model
from .from_torch import export_torch, export_torch_script
from .spec import ExportError, ExportSpec
from .to_half import convert_to_half
from .to_int8 import Int8Setting, quantise_apart
