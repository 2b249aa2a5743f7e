"""Every runtime by name, imported only when it is opened."""

from __future__ import annotations

__all__ = [
    "ENGINES",
    "RUNTIMES",
    "TORCH_DEVICES",
    "WILDCARDS",
    "RuntimeEntry",
    "find_runtime",
    "import_engine",
    "is_importable",
    "open_runtime",
    "precisions_of",
    "require_provider",
    "settle_engine",
]

import importlib
import importlib.util
from typing import TYPE_CHECKING, NamedTuple

from toolkit.errors import ResourceError, UsageError, require_known
from toolkit.runtimes.providers import OTHER_NAMES, PROVIDERS, REMOTE, build_of

if TYPE_CHECKING:
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runtimes.base import Runtime, RuntimeSettings


class RuntimeEntry(NamedTuple):
    """Where a runtime lives.

    Attributes:
        module: that defines it; with a dot before it, of this package.
        class_name: its class.
        package: import name of the engine; empty where it is none of Python's.
        install: what brings the engine.
        needs_run: whether it executes the network itself and so needs the run folder.
        devices: what it can be asked to run on: ONNX Runtime's providers, PyTorch's devices.
        has_threads: whether its number of threads can be set.
        npm: packages of JavaScript that `toolkit runtimes install` brings into a private folder.
        pip: packages of Python that it brings into a private environment, all of them: none brings others along.
        precisions: what it can compute a float32 file in; `tf32` on CUDA only.
        reentrant: devices on which an opened model can be run several times at once.
        is_reference: whether it computes what others are compared with, and is no engine itself.
        is_remote: whether it asks a server, which is named (`--at`): nothing asks one by saying `all`.
    """

    module: str
    class_name: str
    package: str
    install: str
    needs_run: bool = False
    devices: tuple[str, ...] = ("cpu",)
    has_threads: bool = False
    npm: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32",)
    reentrant: tuple[str, ...] = ()
    is_reference: bool = False
    is_remote: bool = False

    @property
    def private(self) -> tuple[str, ...]:
        """What its private folder holds, the engine itself first; empty where it lives in this Python."""
        return self.npm or self.pip


EXTRA = "pip install 'onnx-parity-toolkit[runtimes]'"
# What a worker needs besides the engine; the same versions as in constraints.txt.
WORKER_PINS = ("numpy==2.4.6", "onnx==1.23.2", "protobuf==7.36.2", "ml_dtypes==0.6.0", "typing_extensions==4.16.0")
TORCH_DEVICES = ("cpu", "cuda", "mps")
# Instead of the name of a provider: those that work here.
WILDCARDS = ("auto", "all")
OIP = RuntimeEntry(
    ".oip.over_http",
    "OipHttpRuntime",
    "http.client",
    "a server, named by --at",
    devices=(REMOTE,),
    reentrant=(REMOTE,),
    is_remote=True,
)
TORCH = RuntimeEntry(
    ".engines.torch_eager",
    "TorchEagerRuntime",
    "torch",
    "pip install torch",
    needs_run=True,
    devices=TORCH_DEVICES,
    has_threads=True,
    precisions=("fp32", "tf32"),
)
RUNTIMES: dict[str, RuntimeEntry] = {
    "ort": RuntimeEntry(
        ".ort.runtime",
        "OrtRuntime",
        "onnxruntime",
        "pip install onnxruntime-gpu",
        devices=tuple(name for name, spec in PROVIDERS.items() if spec.runtime == "ort"),
        has_threads=True,
        precisions=("fp32", "tf32"),
        reentrant=("cpu",),
    ),
    "ort-webgpu": RuntimeEntry(
        ".ort.runtime",
        "OrtWebGpuRuntime",
        "onnxruntime",
        "toolkit runtimes install ort-webgpu",
        devices=("webgpu",),
        # wgpu names the device.
        pip=("onnxruntime-webgpu==1.27.0", "wgpu==0.32.0", "cffi==2.1.1", "pycparser==3.12", *WORKER_PINS),
    ),
    "torch": TORCH,
    "torch-compile": TORCH._replace(class_name="TorchCompiledRuntime", devices=("cpu", "cuda")),
    "onnx": RuntimeEntry(".references.evaluator", "OnnxEvaluatorRuntime", "onnx", "pip install onnx"),
    "openvino": RuntimeEntry(
        ".engines.openvino_cpu",
        "OpenVinoRuntime",
        "openvino",
        EXTRA,
        has_threads=True,
        precisions=("fp32", "bf16"),
        reentrant=("cpu",),
    ),
    "opencv": RuntimeEntry(".engines.opencv_dnn", "OpenCvRuntime", "cv2", EXTRA, has_threads=True),
    "tract": RuntimeEntry(".engines.tract_onnx", "TractRuntime", "tract", EXTRA),
    "iree": RuntimeEntry(".engines.iree_llvm", "IreeRuntime", "iree.compiler", EXTRA),
    "jax": RuntimeEntry(".engines.jax_onnx", "JaxRuntime", "jaxonnxruntime", EXTRA),
    "tvm": RuntimeEntry(".engines.tvm_relax", "TvmRuntime", "tvm", EXTRA),
    "plain-c": RuntimeEntry(".engines.plain_c", "PlainCRuntime", "emx_onnx_cgen", EXTRA),
    "ort-node": RuntimeEntry(
        ".engines.ort_node",
        "OrtNodeRuntime",
        "",
        "toolkit runtimes install ort-node",
        devices=("cpu", "webgpu"),
        has_threads=True,
        npm=("onnxruntime-node@1.30.0",),
    ),
    "ort-web": RuntimeEntry(
        ".engines.ort_node",
        "OrtWebRuntime",
        "",
        "toolkit runtimes install ort-web",
        npm=("onnxruntime-web@1.30.0",),
    ),
    "mnn": RuntimeEntry(
        ".engines.mnn_module",
        "MnnRuntime",
        "MNN",
        "toolkit runtimes install mnn",
        has_threads=True,
        pip=("mnn==3.6.1", *WORKER_PINS),
    ),
    "ncnn": RuntimeEntry(
        ".engines.ncnn_pnnx",
        "NcnnRuntime",
        "ncnn",
        "toolkit runtimes install ncnn",
        has_threads=True,
        pip=("ncnn==1.0.20261020", "pnnx==20261020", *WORKER_PINS),
    ),
    "tinygrad": RuntimeEntry(
        ".engines.tinygrad_zig",
        "TinygradRuntime",
        "tinygrad",
        "toolkit runtimes install tinygrad",
        pip=("tinygrad==0.14.0", "ziglang==0.17.0", *WORKER_PINS),
    ),
    "oip-http": OIP,
    "oip-json": OIP._replace(class_name="OipJsonRuntime"),
    "oip-grpc": OIP._replace(
        module=".oip.over_grpc", class_name="OipGrpcRuntime", package="grpc", install="pip install grpcio"
    ),
    "onnx-float64": RuntimeEntry(
        ".references.onnx_float64", "OnnxFloat64Runtime", "onnx", "pip install onnx", is_reference=True
    ),
    "onnx-widened": RuntimeEntry(
        ".references.widened", "WidenedRuntime", "onnx", "pip install onnx", is_reference=True
    ),
    "onnx-rounded": RuntimeEntry(
        ".references.widened", "RoundedRuntime", "onnx", "pip install onnx", is_reference=True
    ),
    "torch-suspects": RuntimeEntry(
        ".references.fault_models",
        "FaultModelsRuntime",
        "torch",
        "pip install torch",
        needs_run=True,
        is_reference=True,
    ),
    "ort-jittered": RuntimeEntry(
        ".references.perturbed", "PerturbedRuntime", "onnxruntime", "pip install onnxruntime-gpu", is_reference=True
    ),
}
ENGINES = tuple(name for name, entry in RUNTIMES.items() if not entry.is_reference and not entry.is_remote)


def find_runtime(name: str) -> RuntimeEntry:
    """Return a runtime's entry.

    Raises:
        UsageError: the name is unknown.
    """
    if name not in RUNTIMES:
        meant = OTHER_NAMES.get(name.lower(), name)
        if meant in PROVIDERS:
            raise UsageError(f"{name!r} is no runtime; ONNX Runtime has it: --runtime ort --provider {meant}")
        require_known(name, ENGINES, what="runtime", meant=meant)
    return RUNTIMES[name]


def require_provider(word: str) -> None:
    """Refuse what is no provider, no device and no wildcard.

    Raises:
        UsageError: the word is unknown.
    """
    known = dict.fromkeys((*PROVIDERS, *TORCH_DEVICES, *WILDCARDS))
    require_known(word, known, what="provider", meant=OTHER_NAMES.get(word.lower(), ""))


def settle_engine(runtime: str, provider: str) -> tuple[str, str]:
    """Return the runtime and the provider that two words mean.

    `ort` on a provider that another build of ONNX Runtime has is that build; `cpu`, the default, of a runtime that
    runs elsewhere only is where it runs.

    Raises:
        UsageError: the runtime is unknown.
    """
    runtime = build_of(runtime, provider)
    own = find_runtime(runtime).devices
    return runtime, own[0] if provider == "cpu" and "cpu" not in own else provider


def precisions_of(name: str, device: str) -> tuple[str, ...]:
    """Return what a runtime can compute a float32 file in on a device, or on a provider of ONNX Runtime.

    Raises:
        UsageError: the runtime is unknown.
    """
    own = tuple(item for item in find_runtime(name).precisions if item != "tf32" or device == "cuda")
    return (*own, *PROVIDERS[device].precisions) if name == "ort" and device in PROVIDERS else own


def is_importable(package: str) -> bool:
    """Tell whether a package can be found, without importing it."""
    try:
        return bool(package) and importlib.util.find_spec(package) is not None
    except ImportError:  # the package that it would lie in is not here
        return False


def import_engine(entry: RuntimeEntry) -> None:
    """Import an engine's package, where it is one of Python's.

    Raises:
        ResourceError: it is not installed, or cannot be imported.
    """
    if not entry.package:
        return
    try:
        importlib.import_module(entry.package)
    except ImportError as error:
        raise ResourceError(f"the engine cannot be imported: {error}; install it with: {entry.install}") from error


def open_runtime(source: ModelSource, settings: RuntimeSettings) -> Runtime:
    """Open a model in this process.

    Raises:
        UsageError: the runtime is unknown.
        ResourceError: the engine is not installed.
        ModelError: the engine refuses the model.
        ProviderError: the provider asked for is not active.
    """
    entry = find_runtime(settings.runtime)
    import_engine(entry)
    runtime: type[Runtime] = getattr(importlib.import_module(entry.module, __package__), entry.class_name)
    return runtime(source, settings)
