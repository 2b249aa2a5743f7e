"""OpenCV's DNN module."""

from __future__ import annotations

__all__ = ["OpenCvRuntime"]

from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import sum_up


class OpenCvRuntime(Runtime):
    """A file read by OpenCV 5's graph engine."""

    name: ClassVar[str] = "opencv"

    def _open(self, source: ModelSource) -> None:
        if self.settings.threads:
            cv2.setNumThreads(self.settings.threads)
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(source.model, np.uint8))
        except cv2.error as error:
            raise ModelError(f"OpenCV refuses the model: {sum_up(error.err)}") from error
        self.info = self._describe_file(source, version=cv2.__version__)
        self._outputs = [spec.name for spec in self.info.outputs]

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Set the inputs and run forward; see `Runtime.compute`."""
        for name, array in feeds.items():
            self._net.setInput(array, name)
        return dict(zip(self._outputs, self._net.forward(self._outputs), strict=True))
