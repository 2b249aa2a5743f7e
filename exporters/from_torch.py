"""torch's two exporters, made quiet and exact: the dynamo-based one, and the older one for a second opinion."""

from __future__ import annotations

__all__ = ["export_torch", "export_torch_script"]

import inspect
import os
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from .quiet import noise_into
from .spec import ExportError, ExportSpec, first_line

if TYPE_CHECKING:
    from torch import Tensor, nn


def export_torch(
    module: nn.Module, example: tuple[Tensor, ...], *, spec: ExportSpec, log: Path = Path(os.devnull)
) -> onnx.ModelProto:
    """Trace `module` and return its graph with the axes of the spec left open, everything in one message.

    The module is put into eval mode. Nothing is printed: what the exporter says is added to the log.

    Args:
        module: maps the inputs of the spec to its outputs, tensors in a tuple.
        example: one tensor for each input. An axis that stays open has a size of 2 or more here: 0 and 1 are
            specialised while tracing.
        spec: names, open axes and versions.
        log: a file that the exporter's words are added to.

    Raises:
        ExportError: torch could not export the module.
    """
    shapes = tuple(dict(spec.dynamic.get(name, {})) for name in spec.input_names)
    takes_any = any(item.kind is item.VAR_POSITIONAL for item in inspect.signature(module.forward).parameters.values())
    program = _export(
        module,
        example,
        spec=spec,
        log=log,
        failure="torch could not export the module",
        dynamo=True,
        dynamic_shapes=(shapes,) if takes_any else shapes,
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise ExportError("torch could not export the module: it returned no program")
    graph: onnx.ModelProto = program.model_proto
    return graph


def export_torch_script(
    module: nn.Module, example: tuple[Tensor, ...], *, spec: ExportSpec, log: Path = Path(os.devnull)
) -> onnx.ModelProto:
    """Trace `module` with the exporter that goes through TorchScript; as `export_torch`, for one open axis.

    Raises:
        ExportError: this exporter cannot export the module, or this torch has it no more.
    """
    (axes,) = spec.dynamic.values()
    dynamic = {name: dict(axes) for name in (*spec.input_names, *spec.output_names)}
    failure = "torch's TorchScript exporter cannot export the module"
    with tempfile.TemporaryDirectory(prefix="torch-script-") as folder:
        path = Path(folder) / "model.onnx"
        _export(module, example, spec=spec, log=log, failure=failure, f=path, dynamo=False, dynamic_axes=dynamic)
        return onnx.load(path)


def _export(
    module: nn.Module, example: tuple[Tensor, ...], *, spec: ExportSpec, log: Path, failure: str, **options: Any
) -> Any:
    import torch

    with noise_into(log):
        try:
            return torch.onnx.export(
                module.eval(),
                example,
                input_names=list(spec.input_names),
                output_names=list(spec.output_names),
                opset_version=spec.opset,
                **options,
            )
        except Exception as error:  # the exporter raises many unrelated classes
            traceback.print_exc()
            raise ExportError(f"{failure}: {_find_words(error)}") from error


def _find_words(error: BaseException) -> str:
    """Return what an error began with, in one line: the exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = first_line(error)
    return " ".join(str(error).split("\n")[:2]) if words.endswith(":") else words
