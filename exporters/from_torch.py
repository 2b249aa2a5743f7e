"""torch's two exporters, made quiet and exact: the dynamo-based one, and the older one for a second opinion."""

from __future__ import annotations

__all__ = ["export_torch", "export_torch_script"]

import os
import tempfile
import traceback
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from .quiet import noise_into
from .spec import ExportError, ExportSpec, first_line


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

    shapes = ({0: torch.export.Dim(spec.batch_axis)},)
    options = {"dynamo": True, "dynamic_shapes": shapes, "external_data": False, "verbose": False}
    program: torch.onnx.ONNXProgram | None = _export(
        module, spec, log=log, failure="torch could not export the module", **options
    )
    if program is None:
        raise ExportError("torch could not export the module: it returned no program")
    return program.model_proto


def export_torch_script(module: nn.Module, spec: ExportSpec, *, log: Path = Path(os.devnull)) -> onnx.ModelProto:
    """Trace `module` with the exporter that goes through TorchScript; as `export_torch`.

    Raises:
        ExportError: this exporter cannot export the module, or this torch has it no more.
    """
    axes = {name: {0: spec.batch_axis} for name in (spec.input_name, *spec.output_names)}
    failure = "torch's TorchScript exporter cannot export the module"
    with tempfile.TemporaryDirectory(prefix="torch-script-") as folder:
        path = Path(folder) / "model.onnx"
        _export(module, spec, log=log, failure=failure, f=path, dynamo=False, dynamic_axes=axes)
        return onnx.load(path)


def _export(module: nn.Module, spec: ExportSpec, *, log: Path, failure: str, **options: Any) -> Any:
    import torch

    # 0 and 1 are specialised while tracing: a batch of 2 stays symbolic.
    example = torch.zeros((2, *spec.input_shape), dtype=getattr(torch, spec.input_dtype))
    with noise_into(log):
        try:
            return torch.onnx.export(
                module.eval(),
                (example,),
                input_names=[spec.input_name],
                output_names=list(spec.output_names),
                opset_version=spec.opset,
                **options,
            )
        except Exception as error:  # the exporter raises many unrelated classes
            traceback.print_exc()
            raise ExportError(f"{failure}: {first_line(error)}") from error
