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
    """Named as ONNX Runtime's documentation of its CUDA execution provider explains them; no GPU has run them yet.

    Attributes:
        algorithm_search: how cuDNN chooses a convolution: `heuristic`; `exhaustive` costs up to hundreds of
            milliseconds for every new shape; `default` is cuDNN's slow fallback.
        nhwc: prefer channels-last kernels; worth trying with float16.
        cuda_graph: capture a run once for each shape and replay it; needs IO binding and every node on the device.
    """

    algorithm_search: str = "heuristic"
    nhwc: bool = False
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        require_known(self.algorithm_search, SEARCHES, what="algorithm_search")

    def for_provider(self, name: str, *, tf32: bool, precision: str, threads: int) -> dict[str, str]:
        """Return what a session is created with: ONNX Runtime's own keys; none for providers without such options.

        Args:
            name: our word for the provider.
            tf32: let CUDA round float32 products to TF32; TensorRT has no such switch here.
            precision: arithmetic asked for; `fp16` lets TensorRT choose float16 kernels.
            threads: of a provider that has threads of its own; 0 leaves it the choice.
        """
        if name == "cuda":
            return {
                "cudnn_conv_algo_search": self.algorithm_search.upper(),
                "use_tf32": f"{tf32:d}",
                "prefer_nhwc": f"{self.nhwc:d}",
                "enable_cuda_graph": f"{self.cuda_graph:d}",
            }
        if name == "tensorrt":
            return {"trt_fp16_enable": f"{precision == 'fp16':d}"}
        return _for_openvino(precision, threads) if name == "openvino" else {}


def _for_openvino(precision: str, threads: int) -> dict[str, str]:
    # Left to itself it computes in bfloat16 where the processor can, and takes every core whatever the session's own
    # number of threads is: the plug-in takes both from this table only (seen with release 1.8.1).
    properties = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    if threads:
        properties["INFERENCE_NUM_THREADS"] = str(threads)
    return {"load_config": json.dumps({"CPU": properties})}


def parse_device_options(texts: list[str], start: DeviceOptions) -> DeviceOptions:
    """Read `nhwc=true`, `algorithm_search=exhaustive` ... over the options that are there.

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


def _parse(name: str, value: str, *, kind: type) -> str | bool:
    if kind is str:
        return value
    if value.lower() not in BOOLEANS:
        raise UsageError(f"{name} is {value!r}; expected true or false")
    return BOOLEANS[value.lower()]
