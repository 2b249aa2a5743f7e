"""tract, an engine in Rust."""

from __future__ import annotations

__all__ = ["TractRuntime"]

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tract
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.file_specs import describe_file
from toolkit.runtimes.source import ModelSource


class TractRuntime(Runtime):
    """A file optimised by tract; its batch axis stays symbolic."""

    name: ClassVar[str] = "tract"

    def _open(self, source: ModelSource) -> None:
        with tempfile.TemporaryDirectory(prefix="toolkit-tract-") as folder:  # it reads files only
            path = Path(folder, "model.onnx")
            path.write_bytes(source.model)
            try:
                self._runnable = tract.onnx().load(path).into_model().into_runnable()
            except tract.TractError as error:
                raise ModelError(f"tract refuses the model: {_explain(error)}") from error
        self.info = describe_file(source, runtime=self.name, version=tract.version())

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run the inputs in the file's order; see `Runtime.compute`."""
        values = self._runnable.run([np.asarray(feeds[spec.name], order="C") for spec in self.info.inputs])
        return {spec.name: value.to_numpy() for spec, value in zip(self.info.outputs, values, strict=True)}


def _explain(error: tract.TractError) -> str:
    """Return its message and the causes below it in one line, without the stack."""
    message = str(error).partition("Stack backtrace")[0]
    return " ".join(message.split())
