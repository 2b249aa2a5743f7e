"""torch.compile: the run's own network through TorchInductor, which writes C++ for this processor."""

from __future__ import annotations

__all__ = ["TorchCompiledRuntime"]

from typing import ClassVar

import torch

from toolkit.runtimes.source import ModelSource
from toolkit.runtimes.torch_eager import TorchEagerRuntime


class TorchCompiledRuntime(TorchEagerRuntime):
    """The checkpoint of a run, compiled once with a symbolic batch; needs a C++ compiler on the CPU."""

    name: ClassVar[str] = "torch-compile"

    def _open(self, source: ModelSource) -> None:
        super()._open(source)
        self._module = torch.compile(self._module, dynamic=True)
