"""torch's dynamo exporter, made quiet and exact."""

from __future__ import annotations

__all__ = ["export_torch"]

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from exporters.spec import ExportError, ExportSpec

if TYPE_CHECKING:
    import onnx
    from torch import nn


def export_torch(module: nn.Module, spec: ExportSpec) -> onnx.ModelProto:
    """Trace `module` and return its graph with a symbolic batch axis, everything in one message.

    The module is put into eval mode. Nothing is printed; what the exporter said stands in the error when it fails.

    Raises:
        ExportError: torch could not export the module.
    """
    import torch

    # 0 and 1 are specialised while tracing: a batch of 2 stays symbolic.
    example = torch.zeros((2, *spec.input_shape), dtype=getattr(torch, spec.input_dtype))
    noise = io.StringIO()
    handler = logging.StreamHandler(noise)
    with _quiet(handler), contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
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
            raise ExportError(f"torch could not export the module: {error}\n{noise.getvalue()}") from error
    if program is None:
        raise ExportError(f"torch returned no program\n{noise.getvalue()}")
    return program.model_proto


@contextlib.contextmanager
def _quiet(handler: logging.Handler) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [(logger.handlers[:], logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, (handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
