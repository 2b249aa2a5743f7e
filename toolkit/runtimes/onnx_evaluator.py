"""ONNX's reference evaluator with our operators where it is wrong: slow, in NumPy, and what the standard means."""

from __future__ import annotations

__all__ = ["OnnxEvaluatorRuntime"]

from typing import Any, ClassVar

import onnx

from toolkit.errors import ModelError, first_line
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.file_specs import describe_file
from toolkit.runtimes.references.evaluator import Evaluator, unwrap_optionals
from toolkit.runtimes.source import ModelSource


class OnnxEvaluatorRuntime(Runtime):
    """A file evaluated node by node in its own types."""

    name: ClassVar[str] = "onnx"

    def _open(self, source: ModelSource) -> None:
        try:
            self._evaluator = Evaluator(onnx.ModelProto.FromString(source.model))
        except Exception as error:  # an operator it lacks is a RuntimeError, a KeyError or a NotImplementedError
            raise ModelError(f"the ONNX evaluator refuses the model: {first_line(error)}") from error
        self.info = describe_file(source, runtime=self.name, version=onnx.__version__)

    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Evaluate every node; see `Runtime.compute`.

        Raises:
            ModelError: an operator fails.
        """
        try:
            values = self._evaluator.run(None, dict(feeds))
        except Exception as error:  # whatever the evaluator's operators raise
            raise ModelError(f"the ONNX evaluator cannot run the model: {first_line(error)}") from error
        named = {spec.name: value for spec, value in zip(self.info.outputs, values, strict=True)}
        return unwrap_optionals(named, self.info.outputs)
