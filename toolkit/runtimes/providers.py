"""The one list of ONNX Runtime's providers, and their options that change a time or an answer."""

from __future__ import annotations

__all__ = [
    "CUDA_PROVIDERS",
    "OTHER_NAMES",
    "PROVIDERS",
    "REMOTE",
    "DeviceOptions",
    "ProviderSpec",
    "find_provider",
    "parse_device_options",
]

import json
from dataclasses import dataclass, fields, replace
from typing import Any

from toolkit.errors import UsageError, require_known, suggest

# Where a server runs a model that is asked through it: its own business.
REMOTE = "remote"
SEARCHES = ("heuristic", "exhaustive", "default")
ARENAS = ("next-power-of-two", "same-as-requested")
BOOLEANS = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """One provider.

    Attributes:
        name: our word for it.
        ort_name: ONNX Runtime's word.
        libraries: shared libraries to try when it does not open; those that fail name what is missing.
        plugin: module of a plug-in provider, None for one that is built in.
        mend: what brings the provider itself.
        precisions: arithmetics besides the file's own that it can be asked for.
    """

    name: str
    ort_name: str
    libraries: tuple[str, ...] = ()
    plugin: str | None = None
    mend: str = ""
    precisions: tuple[str, ...] = ()


PROVIDERS: dict[str, ProviderSpec] = {
    spec.name: spec
    for spec in (
        ProviderSpec(name="cpu", ort_name="CPUExecutionProvider"),
        ProviderSpec(
            name="cuda",
            ort_name="CUDAExecutionProvider",
            libraries=("libonnxruntime_providers_cuda.so", "libcuda.so.1", "libcudnn.so.9"),
            mend="pip install 'onnxruntime-gpu[cuda,cudnn]'",
        ),
        ProviderSpec(
            name="tensorrt",
            ort_name="TensorrtExecutionProvider",
            libraries=("libnvinfer.so.10", "libonnxruntime_providers_tensorrt.so", "libcuda.so.1"),
            mend="pip install 'tensorrt-cu13>=10,<11' 'onnxruntime-gpu[cuda,cudnn]'",
            precisions=("fp16",),
        ),
        ProviderSpec(
            name="openvino",
            ort_name="OpenVINOExecutionProvider",
            plugin="onnxruntime_ep_openvino",
            mend="pip install 'onnx-parity-toolkit[openvino]'",
            precisions=("bf16",),
        ),
    )
}

# Those that compute on CUDA's first visible device, in its memory: none of our settings names another.
CUDA_PROVIDERS = ("cuda", "tensorrt")

# What people who come from other tools call runtimes and providers.
OTHER_NAMES = {
    "onnxruntime": "ort",
    "onnxrt": "ort",
    "pytorch": "torch",
    "gpu": "cuda",
    "trt": "tensorrt",
    **{spec.ort_name.lower(): spec.name for spec in PROVIDERS.values()},
}


def find_provider(name: str) -> ProviderSpec:
    """Return a provider by our word for it.

    Raises:
        UsageError: the word is unknown.
    """
    require_known(name, PROVIDERS, what="provider", meant=OTHER_NAMES.get(name.lower(), ""))
    return PROVIDERS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """Named as ONNX Runtime's documentation of its CUDA and TensorRT execution providers explains them.

    Attributes:
        algorithm_search: how cuDNN chooses a convolution: `heuristic`; `exhaustive` costs up to hundreds of
            milliseconds for every new shape; `default` is cuDNN's slow fallback.
        nhwc: prefer channels-last kernels; worth trying with float16.
        arena: how the device's memory grows: `next-power-of-two` or `same-as-requested`.
        memory_limit_mib: most of the device's memory; 0 is all of it.
        copy_in_default_stream: copy inputs and outputs on the stream that computes, which is the safe way.
        cuda_graph: capture a run once for each shape and replay it; needs IO binding and every node on the device.
        cache: folder where TensorRT keeps engines and timings between processes; empty is none.
    """

    algorithm_search: str = "heuristic"
    nhwc: bool = False
    arena: str = "next-power-of-two"
    memory_limit_mib: int = 0
    copy_in_default_stream: bool = True
    cuda_graph: bool = False
    cache: str = ""

    def __post_init__(self) -> None:
        for name, known in (("algorithm_search", SEARCHES), ("arena", ARENAS)):
            require_known(getattr(self, name), known, what=name)
        if not 0 <= self.memory_limit_mib < 1 << 24:
            raise UsageError(f"memory_limit_mib is {self.memory_limit_mib}; expected 0 (no limit) or more")

    def for_provider(self, name: str, *, tf32: bool, precision: str, threads: int) -> dict[str, str]:
        """Return what a session is created with: ONNX Runtime's own keys; none for providers without such options.

        Args:
            name: our word for the provider.
            tf32: let CUDA round float32 products to TF32; TensorRT has no such switch here.
            precision: arithmetic asked for; `fp16` lets TensorRT choose float16 kernels.
            threads: of a provider that has threads of its own; 0 leaves it the choice.
        """
        if name == "cuda":
            return self._for_cuda(tf32=tf32)
        if name == "tensorrt":
            return self._for_tensorrt(precision)
        return _for_openvino(precision, threads) if name == "openvino" else {}

    def _for_cuda(self, *, tf32: bool) -> dict[str, str]:
        options = {
            "cudnn_conv_algo_search": self.algorithm_search.upper(),
            "use_tf32": f"{tf32:d}",
            "arena_extend_strategy": "k" + "".join(part.capitalize() for part in self.arena.split("-")),
            "do_copy_in_default_stream": f"{self.copy_in_default_stream:d}",
            "prefer_nhwc": f"{self.nhwc:d}",
            "enable_cuda_graph": f"{self.cuda_graph:d}",
        }
        limit = {"gpu_mem_limit": str(self.memory_limit_mib << 20)} if self.memory_limit_mib else {}
        return {**options, **limit}

    def _for_tensorrt(self, precision: str) -> dict[str, str]:
        options = {"trt_fp16_enable": str(int(precision == "fp16")), "trt_cuda_graph_enable": f"{self.cuda_graph:d}"}
        if not self.cache:
            return options
        return {
            **options,
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": self.cache,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": self.cache,
        }


def _for_openvino(precision: str, threads: int) -> dict[str, str]:
    # Left to itself it computes in bfloat16 where the processor can, and takes every core whatever the session's own
    # number of threads is: the plug-in takes both from this table only (seen with release 1.8.1).
    properties = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    if threads:
        properties["INFERENCE_NUM_THREADS"] = str(threads)
    return {"load_config": json.dumps({"CPU": properties})}


def parse_device_options(texts: list[str], start: DeviceOptions) -> DeviceOptions:
    """Read `nhwc=true`, `arena=same-as-requested` ... over the options that are there.

    Raises:
        UsageError: a text is no such pair, or its name or value is unknown.
    """
    kinds = {item.name: type(getattr(start, item.name)) for item in fields(start)}
    changes: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or name not in kinds:
            known = ", ".join(kinds)
            raise UsageError(f"{text!r} is no device option{suggest(name, kinds)}; expected NAME=VALUE, one of {known}")
        changes[name] = _parse(name, value.strip(), kind=kinds[name])
    return replace(start, **changes)


def _parse(name: str, value: str, *, kind: type) -> str | int | bool:
    if kind is bool:
        if value.lower() not in BOOLEANS:
            raise UsageError(f"{name} is {value!r}; expected true or false")
        return BOOLEANS[value.lower()]
    if kind is int:
        if not value.isdecimal():
            raise UsageError(f"{name} is {value!r}; expected a whole number")
        return int(value)
    return value
