"""ONNX Runtime, all its providers, strictly."""

from __future__ import annotations

__all__ = ["OrtRuntime"]

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError, UsageError
from toolkit.runtimes.base import Arrays, Runtime, RuntimeInfo, RuntimeSettings, TensorSpec
from toolkit.runtimes.engine_words import sum_up
from toolkit.runtimes.ort_api import OrtApi, RealOrtApi
from toolkit.runtimes.ort_binding import DEVICES, BoundSession
from toolkit.runtimes.providers import open_session
from toolkit.runtimes.source import ModelSource

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


class OrtRuntime(Runtime):
    """A model opened by ONNX Runtime on exactly the provider asked for.

    Args:
        source: the model.
        settings: provider, threads, optimisation level, fallback.
        api: the thin layer; a fake in tests.
    """

    name: ClassVar[str] = "ort"

    def __init__(self, source: ModelSource, settings: RuntimeSettings, *, api: OrtApi | None = None) -> None:
        self._api = api or RealOrtApi()
        super().__init__(source, settings)

    def _open(self, source: ModelSource) -> None:
        opened = open_session(source.model, self.settings, api=self._api)
        self._session = opened.session
        self._outputs = [item.name for item in self._session.get_outputs()]
        device = DEVICES.get(opened.provider) if self.settings.io_binding else None
        has_graphs = self.settings.device.cuda_graph
        self._bound = (
            BoundSession(self._session, self._outputs, device=device, api=self._api, has_graphs=has_graphs)
            if device
            else None
        )
        details = {**opened.details, **({"io_binding": device} if device else {})}
        if opened.fallback_reason:
            details["fallback_reason"] = opened.fallback_reason
        self.info = RuntimeInfo(
            runtime=self.name,
            version=self._api.version(),
            provider_active=opened.provider,
            fallback=opened.fallback,
            inputs=tuple(_spec(item) for item in self._session.get_inputs()),
            outputs=tuple(_spec(item) for item in self._session.get_outputs()),
            placement=opened.placement,
            metadata=dict(self._session.get_modelmeta().custom_metadata_map),
            details=details,
        )

    def prepare(self, feeds: Arrays, *, boundary: str = "host") -> Callable[[], object]:
        """Return ONNX Runtime's own call and nothing around it; see `Runtime.prepare`."""
        if boundary == "device":
            if self._bound is None:
                place = self.info.provider_active
                raise UsageError(f"provider {place} has no memory of its own, or was opened without IO binding")
            return self._bound.resident(feeds)
        if self._bound is not None:
            return functools.partial(self._bound.run, feeds)
        return functools.partial(self._session.run, self._outputs, dict(feeds))

    def time_phases(self, feeds: Arrays, now_ns: Callable[[], int], calls: int) -> dict[str, float] | None:
        """Time copies and computing apart where a device has its own memory; see `Runtime.time_phases`."""
        return self._bound.time_phases(feeds, now_ns, calls) if self._bound is not None else None

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run the session on host arrays; see `Runtime.compute`."""
        try:
            if self._bound is not None:
                values = self._bound.run(feeds)
            else:
                values = self._session.run(self._outputs, dict(feeds))
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            raise ModelError(f"ONNX Runtime failed while running the model: {sum_up(error)}") from error
        for name, value in zip(self._outputs, values, strict=True):
            if not isinstance(value, np.ndarray) or value.dtype.hasobject:
                raise ModelError(f"output {name!r} holds {type(value).__name__} values; only numbers can be compared")
        return dict(zip(self._outputs, values, strict=True))


def _spec(item: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else (str(size) if size else None) for size in item.shape)
    return TensorSpec(name=item.name, dtype=DTYPES.get(item.type, item.type), shape=shape)
