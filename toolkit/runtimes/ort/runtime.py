"""ONNX Runtime, all its providers, strictly.

Tensors whose element type NumPy has no name for are read from ONNX Runtime's own memory, and written to it.
"""

from __future__ import annotations

__all__ = ["OrtRuntime", "OrtWebGpuRuntime"]

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from toolkit.errors import ModelError, ToolkitError, UsageError
from toolkit.onnx_file.element_types import SMALL_BITS, STRING, TensorSpec, find_dtype, type_name
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime, RuntimeInfo, RuntimeSettings
from toolkit.runtimes.engine_words import sum_up
from toolkit.runtimes.ort.api import OrtApi
from toolkit.runtimes.ort.binding import BoundSession
from toolkit.runtimes.ort.sessions import open_session
from toolkit.runtimes.providers import PROVIDERS
from toolkit.runtimes.values import Unreadable

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
# TensorProto's numbers of the types that an input can have; of fewer bits several share a byte.
FED = {
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
    "float8_e8m0fnu": 24,
}
# TensorProto's number of each type that is read here.
ORT_NAMES = {**{number: kind for kind, number in FED.items()}, 21: "uint4", 22: "int4", 23: "float4_e2m1fn"} | {
    25: "uint2",
    26: "int2",
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
        device = PROVIDERS[opened.provider].memory if self.settings.io_binding else ""
        has_graphs = opened.provider == "cuda" and self.settings.device.cuda_graph
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
        self._has_small = _has_small((*self.info.inputs, *self.info.outputs))

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
            return _small_call(self._session, self._outputs, feeds=feeds)
        return functools.partial(self._session.run, self._outputs, dict(feeds))

    def time_phases(self, feeds: Arrays, now_ns: Callable[[], int], *, calls: int) -> dict[str, float] | None:
        """Time copies and computing apart where a device has its own memory; see `Runtime.time_phases`."""
        return self._bound.time_phases(feeds, now_ns, calls=calls) if self._bound is not None else None

    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Run the session on host arrays; see `Runtime.compute`."""
        try:
            if self._bound is not None:
                values = self._bound.run(feeds)
            elif self._has_small:
                values = _run_small(self._session, self.info.outputs, feeds=feeds)
            else:
                values = self._session.run(self._outputs, dict(feeds))
        except ToolkitError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            raise ModelError(f"ONNX Runtime failed while running the model: {sum_up(error)}") from error
        return dict(zip(self._outputs, values, strict=True))


class OrtWebGpuRuntime(OrtRuntime):
    """The build of ONNX Runtime that has WebGPU, in an environment of its own."""

    name: ClassVar[str] = "ort-webgpu"


def _spec(item: Any) -> TensorSpec:
    # Exporters write 0 or less where they do not know a size.
    sizes = (None if isinstance(size, int) and size <= 0 else size for size in item.shape)
    shape = tuple(size if isinstance(size, int) else (str(size) if size else None) for size in sizes)
    return TensorSpec(name=item.name, dtype=DTYPES.get(item.type, item.type), shape=shape)


def _has_small(specs: Sequence[TensorSpec]) -> bool:
    """Tell whether one of some inputs or outputs is a tensor that ONNX Runtime's `run` cannot hand over."""
    return any(spec.dtype in SMALL_BITS for spec in specs)


def _run_small(session: Any, outputs: Sequence[TensorSpec], *, feeds: Arrays) -> list[Any]:
    """Run a session some of whose inputs or outputs are such tensors.

    Args:
        session: an opened `InferenceSession`.
        outputs: what is asked for.
        feeds: every input by name; `bfloat16` and the like in the types of ml_dtypes.

    Returns:
        The outputs in order. Where an input is such a tensor, outputs that are no tensors cannot be read.

    Raises:
        UsageError: an input has fewer than 8 bits a number.
    """
    inner = [spec.name for spec in outputs if spec.dtype in SMALL_BITS]
    is_fed_small = any(type_name(array.dtype) in SMALL_BITS for array in feeds.values())
    plain = [] if is_fed_small else [spec.name for spec in outputs if spec.dtype not in SMALL_BITS]
    # Only `run` hands out sequences and maps, and only the other call these tensors: such a file is run twice.
    values = dict(zip(plain, session.run(plain, dict(feeds)), strict=True)) if plain else {}
    asked = [spec.name for spec in outputs] if is_fed_small else inner
    read = session.run_with_ort_values(asked, _to_ort(feeds))
    values |= {name: _read(value) for name, value in zip(asked, read, strict=True)}
    return [values[spec.name] for spec in outputs]


def _small_call(session: Any, outputs: Sequence[str], *, feeds: Arrays) -> Callable[[], object]:
    """Return the call that a timing loop repeats, on values of ONNX Runtime's own; raises as `_run_small`."""
    return functools.partial(session.run_with_ort_values, list(outputs), _to_ort(feeds))


def _to_ort(feeds: Arrays) -> dict[str, Any]:
    return {name: _write(name, array) for name, array in feeds.items()}


def _write(name: str, array: NDArray[Any]) -> Any:
    kind = type_name(array.dtype)
    if kind not in SMALL_BITS:
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.asarray(array, order="C"))
    if kind not in FED:
        raise UsageError(f"input {name!r} is {kind}, which ONNX Runtime's Python interface cannot be fed with")
    raw = np.ascontiguousarray(array).view(f"u{SMALL_BITS[kind] // 8}").reshape(array.shape)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(raw, FED[kind])


def _read(value: Any) -> Any:
    if not value.has_value():
        return None
    if not value.is_tensor():
        return Unreadable("ONNX Runtime's Python interface hands out no sequence beside inputs of small floats")
    kind = ORT_NAMES.get(value.element_type())
    if kind is None:
        return value.numpy()
    raw = np.frombuffer(ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes()), np.uint8)
    return _decode(raw, kind, shape=tuple(value.shape()))


def _decode(raw: NDArray[np.uint8], kind: str, *, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the numbers in the bytes; where several share one, the first has its lowest bits."""
    bits, dtype = SMALL_BITS[kind], find_dtype(kind)
    numbers: NDArray[Any] = raw
    if bits < 8:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        numbers = ((raw[:, None] >> shifts) & (2**bits - 1)).ravel()[: int(np.prod(shape))]
    if kind.startswith("int"):
        half = 2 ** (bits - 1)
        numbers = (numbers.astype(np.int8) ^ half) - half
    return (numbers.astype(dtype) if "int" in kind else numbers.view(dtype)).reshape(shape)
