"""ONNX Runtime, all its providers, strictly."""

from __future__ import annotations

__all__ = ["OrtRuntime"]

import functools
from collections.abc import Callable
from typing import Any, ClassVar

from toolkit.errors import ModelError, ToolkitError, UsageError
from toolkit.onnx_file.element_types import SMALL_BITS, STRING, TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime, RuntimeInfo, RuntimeSettings
from toolkit.runtimes.engine_words import sum_up
from toolkit.runtimes.ort.api import OrtApi
from toolkit.runtimes.ort.binding import DEVICES, BoundSession
from toolkit.runtimes.ort.sessions import open_session
from toolkit.runtimes.ort.small_types import has_small, run_small, small_call

# TensorSpec's names of ONNX Runtime's types; what is no tensor keeps ONNX Runtime's word.
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    **{f"tensor({kind}{bits})": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "tensor(bool)": "bool",
    "tensor(string)": STRING,
    **{f"tensor({name.replace('_', '')})": name for name in SMALL_BITS},
    # ONNX Runtime calls these two by less than their whole names.
    "tensor(float8e8m0)": "float8_e8m0fnu",
    "tensor(float4e2m1)": "float4_e2m1fn",
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
        self._api = api or OrtApi()
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
        self._has_small = has_small((*self.info.inputs, *self.info.outputs))

    def prepare(self, feeds: Arrays, *, boundary: str = "host") -> Callable[[], object]:
        """Return ONNX Runtime's own call and nothing around it; see `Runtime.prepare`."""
        if boundary == "device":
            if self._bound is None:
                place = self.info.provider_active
                raise UsageError(f"provider {place} has no memory of its own, or was opened without IO binding")
            return self._bound.resident(feeds)
        if self._bound is not None:
            return functools.partial(self._bound.run, feeds)
        if self._has_small:
            return small_call(self._session, self._outputs, feeds)
        return functools.partial(self._session.run, self._outputs, dict(feeds))

    def time_phases(self, feeds: Arrays, now_ns: Callable[[], int], calls: int) -> dict[str, float] | None:
        """Time copies and computing apart where a device has its own memory; see `Runtime.time_phases`."""
        return self._bound.time_phases(feeds, now_ns, calls) if self._bound is not None else None

    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Run the session on host arrays; see `Runtime.compute`."""
        try:
            if self._bound is not None:
                values = self._bound.run(feeds)
            elif self._has_small:
                values = run_small(self._session, self.info.outputs, feeds)
            else:
                values = self._session.run(self._outputs, dict(feeds))
        except ToolkitError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            raise ModelError(f"ONNX Runtime failed while running the model: {sum_up(error)}") from error
        return dict(zip(self._outputs, values, strict=True))


def _spec(item: Any) -> TensorSpec:
    # Exporters write 0 or less where they do not know a size.
    sizes = (None if isinstance(size, int) and size <= 0 else size for size in item.shape)
    shape = tuple(size if isinstance(size, int) else (str(size) if size else None) for size in sizes)
    return TensorSpec(name=item.name, dtype=DTYPES.get(item.type, item.type), shape=shape)
