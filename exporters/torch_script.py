"""torch's older exporter, which traces through TorchScript: a second opinion on the first one's file."""

from __future__ import annotations

__all__ = ["export_torch_script"]

import os
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.quiet import noise_into
from exporters.spec import ExportError, ExportSpec, first_line

if TYPE_CHECKING:
    import onnx
    from torch import nn


def export_torch_script(module: nn.Module, spec: ExportSpec, *, log: Path = Path(os.devnull)) -> onnx.ModelProto:
    """Trace `module` with the TorchScript-based exporter; as `export_torch`.

    Args:
        module: maps one input to the outputs of the spec.
        spec: names, shapes and versions.
        log: a file that the exporter's words are added to.

    Raises:
        ExportError: this exporter cannot export the module, or this torch has it no more.
    """
    import onnx
    import torch

    example = torch.zeros((2, *spec.input_shape), dtype=getattr(torch, spec.input_dtype))
    with tempfile.TemporaryDirectory(prefix="torch-script-") as folder, noise_into(log):
        path = Path(folder) / "model.onnx"
        try:
            torch.onnx.export(
                module.eval(),
                (example,),
                path,
                dynamo=False,
                input_names=[spec.input_name],
                output_names=list(spec.output_names),
                dynamic_axes={name: {0: spec.batch_axis} for name in (spec.input_name, *spec.output_names)},
                opset_version=spec.opset,
            )
        except Exception as error:  # the exporter raises many unrelated classes
            traceback.print_exc()
            raise ExportError(f"torch's TorchScript exporter cannot export the module: {first_line(error)}") from error
        return onnx.load(path)
