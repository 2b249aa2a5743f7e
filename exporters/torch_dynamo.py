"""torch's dynamo exporter, made quiet and exact."""

from __future__ import annotations

__all__ = ["export_torch"]

import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from exporters.quiet import noise_into
from exporters.spec import ExportError, ExportSpec, first_line

if TYPE_CHECKING:
    import onnx
    from torch import nn


def export_torch(module: nn.Module, spec: ExportSpec, *, log: Path = Path(os.devnull)) -> onnx.ModelProto:
    """Trace `module` and return its graph with a symbolic batch axis, everything in one message.

    The module is put into eval mode. Nothing is printed: what the exporter says is added to the log.

    Args:
        module: maps one input to the outputs of the spec.
        spec: names, shapes and versions.
        log: a file that the exporter's words are added to.

    Raises:
        ExportError: torch could not export the module.
    """
    import torch

    # 0 and 1 are specialised while tracing: a batch of 2 stays symbolic.
    example = torch.zeros((2, *spec.input_shape), dtype=getattr(torch, spec.input_dtype))
    with noise_into(log):
        try:
            program = torch.onnx.export(
                module.eval(),
                (example,),
                dynamo=True,
                input_names=[spec.input_name],
                output_names=list(spec.output_names),
                dynamic_shapes=({0: torch.export.Dim(spec.batch_axis)},),
                opset_version=spec.opset,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # the exporter raises many unrelated classes
            traceback.print_exc()
            raise ExportError(f"torch could not export the module: {first_line(error)}") from error
    if program is None:
        raise ExportError("torch could not export the module: it returned no program")
    return program.model_proto
