"""The one list of ONNX Runtime's providers."""

from __future__ import annotations

__all__ = ["OTHER_NAMES", "PROVIDERS", "ProviderSpec", "find_provider"]

from dataclasses import dataclass

from toolkit.errors import require_known


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
