"""A stand-in for the thin layer over ONNX Runtime: what a machine with other libraries, wheels and devices answers."""

from __future__ import annotations

__all__ = ["BindingApi", "BindingSession", "FakeBinding", "FakeOrtApi", "FakeSession", "FakeValue"]

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from toolkit.runtimes.ort.api import OrtApi

GPU_BUILD = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


class FakeSession:
    """A session that says which providers it runs on, and adds one to its input."""

    def __init__(self, providers: list[str], *, nodes: dict[str, int] | None = None) -> None:
        self._providers = providers
        self._nodes = nodes if nodes is not None else dict.fromkeys(providers[:1], 3)

    def get_providers(self) -> list[str]:
        return self._providers

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [
            SimpleNamespace(
                ep_name=name,
                get_nodes=lambda n=count: [SimpleNamespace(op_type="Conv", name=f"node{i}") for i in range(n)],
            )
            for name, count in self._nodes.items()
        ]

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="images", type="tensor(uint8)", shape=["batch", 2])]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="logits", type="tensor(float)", shape=["batch", 2])]

    def get_modelmeta(self) -> Any:
        return SimpleNamespace(custom_metadata_map={"key": "value"})

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
        return [feeds["images"].astype(np.float32) + 1]


@dataclass
class FakeOrtApi(OrtApi):
    """Every answer is a field; every session asked for is recorded."""

    installed: dict[str, str] = field(default_factory=lambda: {"onnxruntime-gpu": "1.31.1"})
    module_version: str = "1.31.1"
    compiled: list[str] = field(default_factory=lambda: list(GPU_BUILD))
    library_problems: dict[str, str] = field(default_factory=dict)
    plugin: list[Any] | Exception = field(default_factory=lambda: ["NPU"])
    refusals: dict[str, Exception] = field(default_factory=dict)
    silent_fallback: bool = False
    nodes: dict[str, int] | None = None
    preloads: int = 0
    loads: list[str] = field(default_factory=list)
    sessions: list[SimpleNamespace] = field(default_factory=list)

    def wheels(self) -> dict[str, str]:
        return self.installed

    def version(self) -> str:
        return self.module_version

    def compiled_providers(self) -> list[str]:
        return self.compiled

    def preload(self) -> None:
        self.preloads += 1

    def load_problem(self, library: str) -> str | None:
        self.loads.append(library)
        return self.library_problems.get(library)

    def register_plugin(self, module: str, ep_name: str) -> list[Any]:
        if isinstance(self.plugin, Exception):
            raise self.plugin
        return self.plugin

    def create_session(
        self,
        model: bytes,
        *,
        entries: dict[str, str],
        options: dict[str, Any],
        providers: list[Any],
        devices: list[Any],
    ) -> Any:
        self.sessions.append(
            SimpleNamespace(model=model, entries=entries, options=options, providers=providers, devices=devices)
        )
        name = providers[0][0]
        if name in self.refusals:
            raise self.refusals[name]
        if self.silent_fallback:
            return FakeSession(["CPUExecutionProvider"])
        active = [name] if name == "CPUExecutionProvider" else [name, "CPUExecutionProvider"]
        return FakeSession(active, nodes=self.nodes)


class BindingSession(FakeSession):
    """Counts the runs of either kind."""

    def __init__(self, providers: list[str]) -> None:
        super().__init__(providers)
        self.plain = self.bound = 0

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
        self.plain += 1
        return super().run(names, feeds)

    def io_binding(self) -> Any:
        return FakeBinding()

    def run_with_iobinding(self, binding: Any) -> None:
        self.bound += 1
        binding.outputs = [binding.inputs[0].array.astype(np.float32) + 1]


class FakeBinding:
    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.devices: list[str] = []

    def bind_ortvalue_input(self, _: str, value: Any) -> None:
        self.inputs.append(value)

    def bind_output(self, _: str, device: str) -> None:
        self.devices.append(device)

    def get_outputs(self) -> list[Any]:
        return self.outputs

    def bind_ortvalue_output(self, _: str, value: Any) -> None:
        assert value is self.outputs[0]

    def copy_outputs_to_cpu(self) -> list[Any]:
        return self.outputs


class FakeValue:
    def __init__(self, array: np.ndarray[Any, Any], device: str) -> None:
        self.array, self.device = array, device

    def update_inplace(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array


class BindingApi(FakeOrtApi):
    """Sessions that can bind."""

    def create_session(self, model: bytes, **arguments: Any) -> Any:
        super().create_session(model, **arguments)
        self.made = BindingSession([arguments["providers"][0][0]])
        return self.made

    def device_value(self, array: np.ndarray[Any, Any], device: str) -> Any:
        assert device == "cuda"
        return FakeValue(array, device)
