"""The one list of ONNX Runtime's providers, and their options that change a time or an answer."""

from __future__ import annotations

__all__ = [
    "CUDA_PROVIDERS",
    "OTHER_NAMES",
    "PROVIDERS",
    "REMOTE",
    "DeviceOptions",
    "ProviderSpec",
    "build_of",
    "describe_device",
    "find_provider",
    "mark_software",
    "parse_device_options",
]

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from toolkit.errors import UsageError, require_known, suggest

# Where a server runs a model that is asked through it: its own business.
REMOTE = "remote"
SEARCHES = ("heuristic", "exhaustive", "default")
NO_DEVICE = re.compile(r"\blibvulkan\b|no supported adapters", re.IGNORECASE)
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
        runtime: name in the registry of the build of ONNX Runtime that has it.
        memory: ONNX Runtime's word for the memory of its device; empty where it computes in the host's.
        has_8_bit: whether it has kernels for 8-bit whole numbers, with which our files begin.
        recording: session entries with which ONNX Runtime records every node that the provider takes.
        device_mend: what brings a device where it opens on none.
    """

    name: str
    ort_name: str
    libraries: tuple[str, ...] = ()
    plugin: str | None = None
    mend: str = ""
    precisions: tuple[str, ...] = ()
    runtime: str = "ort"
    memory: str = ""
    has_8_bit: bool = True
    recording: Mapping[str, str] = field(default_factory=dict)
    device_mend: str = ""

    def mend_device(self, words: str) -> str:
        """Return what helps against a failure, by its words; empty where they are not about a device."""
        return self.device_mend if NO_DEVICE.search(words) else ""


PROVIDERS: dict[str, ProviderSpec] = {
    spec.name: spec
    for spec in (
        ProviderSpec(name="cpu", ort_name="CPUExecutionProvider"),
        ProviderSpec(
            name="cuda",
            ort_name="CUDAExecutionProvider",
            # The last two are opened late: where cuDNN compiles a kernel, and by operators of FFT.
            libraries=(
                *("libonnxruntime_providers_cuda.so", "libcuda.so.1"),
                *("libcudnn.so.9", "libnvrtc.so.13", "libcufft.so.12"),
            ),
            mend="pip install 'onnxruntime-gpu[cuda,cudnn]'",
            memory="cuda",
        ),
        ProviderSpec(
            name="tensorrt",
            ort_name="TensorrtExecutionProvider",
            libraries=("libnvinfer.so.10", "libonnxruntime_providers_tensorrt.so", "libcuda.so.1"),
            mend="pip install 'tensorrt-cu13>=10,<11' 'onnxruntime-gpu[cuda,cudnn]'",
            precisions=("fp16",),
            memory="cuda",
        ),
        ProviderSpec(
            name="openvino",
            ort_name="OpenVINOExecutionProvider",
            plugin="onnxruntime_ep_openvino",
            mend="pip install 'onnx-parity-toolkit[openvino]'",
            precisions=("bf16",),
        ),
        ProviderSpec(
            name="webgpu",
            ort_name="WebGpuExecutionProvider",
            # Elsewhere it computes through Metal or Direct3D, which are part of the system.
            libraries=("libvulkan.so.1",) if sys.platform.startswith("linux") else (),
            mend="toolkit runtimes install ort-webgpu",
            runtime="ort-webgpu",
            memory="webgpu",
            has_8_bit=False,
            # In its own layout, NHWC, only the transpositions that ONNX Runtime adds are recorded (1.27.0). Provider
            # options are passed over in silence there, and so is an entry whose name it does not know.
            recording={"ep.webgpuexecutionprovider.preferredLayout": "NCHW"},
            device_mend="apt-get install libvulkan1 mesa-vulkan-drivers (or the Vulkan driver of the GPU's maker)",
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


def build_of(runtime: str, provider: str) -> str:
    """Return the runtime that is meant: `ort` on a provider that another build of ONNX Runtime has is that build."""
    return PROVIDERS[provider].runtime if runtime == "ort" and provider in PROVIDERS else runtime


def mark_software(provider: str, device: Mapping[str, Any]) -> str:
    """Return a provider's name as a table tells it: marked where what it computes on is a CPU in a GPU's place."""
    return f"{provider} (software)" if device.get("software") else provider


def describe_device(device: Mapping[str, Any]) -> str:
    """Return in words what WebGPU computes on, as `find_adapter` named it."""
    if not device["adapter"]:
        return f"its device cannot be named: {device['reason']}"
    words = f"{device['adapter']} ({device['driver']}, {device['backend']})"
    return f"{words}, a software device: its times say nothing about a GPU" if device["software"] else words


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
