"""PyTorch: the run's own network, in float32 or, as a reference, in float64; eager, or compiled by TorchInductor."""

from __future__ import annotations

__all__ = ["TorchCompiledRuntime", "TorchEagerRuntime"]

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from toolkit.environment import is_own_process
from toolkit.errors import ModelError, ProviderError, UsageError
from toolkit.network.cnn import ContractNetwork
from toolkit.network.device import TorchMachine, select_device
from toolkit.network.memory import keep_freed_memory
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import read_run
from toolkit.runtimes.base import Arrays, Runtime, RuntimeInfo

DTYPES = {"fp32": torch.float32, "fp64": torch.float64}


class TorchEagerRuntime(Runtime):
    """The checkpoint of a run executed by PyTorch; `fp64` widens its float32 weights exactly."""

    name: ClassVar[str] = "torch"

    def _open(self, source: ModelSource) -> None:
        if source.run is None:
            raise ModelError("the torch runtime executes a run's network; this model comes with no run")
        if self.settings.precision not in DTYPES:
            raise UsageError(f"the torch runtime computes in {', '.join(DTYPES)}, not {self.settings.precision}")
        if self.settings.precision == "fp64" and is_own_process():
            keep_freed_memory()  # nobody measures a reference: an engine keeps the allocator that its users have
        fallback_reason = self._choose_device()
        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        torch.backends.cuda.matmul.allow_tf32 = self.settings.tf32
        torch.backends.cudnn.allow_tf32 = self.settings.tf32
        network = read_checkpoint(read_run(source.run).checkpoint_path).network
        config = network.config
        self._module: Callable[..., tuple[torch.Tensor, ...]] = (
            ContractNetwork(network).eval().to(device=self._device, dtype=DTYPES[self.settings.precision])
        )
        dtype = "float64" if self.settings.precision == "fp64" else "float32"
        self.info = RuntimeInfo(
            runtime=self.name,
            version=torch.__version__,
            provider_active=self._device,
            fallback=bool(fallback_reason),
            inputs=(TensorSpec(name="images", dtype="uint8", shape=("batch", *network.mean.shape)),),
            outputs=(
                TensorSpec(name="logits", dtype=dtype, shape=("batch", config.classes)),
                TensorSpec(name="probabilities", dtype=dtype, shape=("batch", config.classes)),
                TensorSpec(name="label", dtype="int64", shape=("batch",)),
            ),
            details={
                "threads": torch.get_num_threads(),
                "tf32": self.settings.tf32,
                **({"fallback_reason": fallback_reason} if fallback_reason else {}),
            },
        )

    def _choose_device(self) -> str:
        """Set the device and return why it is not the one asked for, or an empty string."""
        wanted = self.settings.provider
        if wanted not in {"cpu", "cuda", "mps"}:
            raise UsageError(f"the torch runtime runs on cpu, cuda or mps, not on {wanted!r}")
        try:
            self._device = select_device(wanted, machine=TorchMachine())
        except ProviderError as error:
            if not self.settings.allow_fallback:
                raise
            self._device = "cpu"
            return str(error)
        return ""

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run the module, copying in and out where it lies on a device; see `Runtime.compute`."""
        # A received buffer may be read-only, which torch warns about; a writable array passes without a copy.
        images = torch.from_numpy(np.require(feeds["images"], requirements=["C", "W"])).to(self._device)
        with torch.inference_mode():
            outputs = self._module(images)
        names = ("logits", "probabilities", "label")
        return {name: value.cpu().numpy() for name, value in zip(names, outputs, strict=True)}


class TorchCompiledRuntime(TorchEagerRuntime):
    """The checkpoint of a run, compiled once into C++ for this processor, its batch symbolic; needs a C++ compiler."""

    name: ClassVar[str] = "torch-compile"

    def _open(self, source: ModelSource) -> None:
        super()._open(source)
        self._module = torch.compile(self._module, dynamic=True)
