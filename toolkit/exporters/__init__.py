"""`exporters/`, which lies beside `toolkit/`, by its name in the wheel: there that folder is in this one's place."""

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
    "kits",
    "quantise_apart",
]

from exporters import (
    ExportError,
    ExportResult,
    ExportSpec,
    Int8Setting,
    convert_to_half,
    export_torch,
    export_torch_script,
    finish_model,
    kits,
    quantise_apart,
)
