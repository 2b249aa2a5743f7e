"""ONNX's reference evaluator with our operators where it is wrong: slow, in NumPy, and what the standard means."""

from __future__ import annotations

__all__ = ["OnnxEvaluatorRuntime"]

from typing import Any, ClassVar

import onnx

from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing
from toolkit.runtimes.references.evaluator import Evaluator, unwrap_optionals


class OnnxEvaluatorRuntime(Runtime):
    """A file evaluated node by node in its own types."""

    name: ClassVar[str] = "onnx"

    def _open(self, source: ModelSource) -> None:
        with refusing("the ONNX evaluator"):  # an operator it lacks has no error of its own
            self._evaluator = Evaluator(onnx.ModelProto.FromString(source.model))
        self.info = self._describe_file(source, version=onnx.__version__)

    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Evaluate every node; see `Runtime.compute`.

        Raises:
            ModelError: an operator fails.
        """
        with refusing("the ONNX evaluator", verb="cannot run"):
            values = self._evaluator.run(None, dict(feeds))
        named = {spec.name: value for spec, value in zip(self.info.outputs, values, strict=True)}
        return unwrap_optionals(named, self.info.outputs)
