"""The one list of ONNX Runtime's providers, and the strict way to open a session on one of them."""

from __future__ import annotations

__all__ = [
    "PROVIDERS",
    "OpenedSession",
    "ProviderSpec",
    "check_installation",
    "explain_missing",
    "find_provider",
    "open_session",
]

import platform
from dataclasses import dataclass, field
from typing import Any

from toolkit.errors import ModelError, ProviderError, ResourceError, UsageError, first_line, suggest
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort_api import OrtApi

OPTIMISATION_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "none": "ORT_DISABLE_ALL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """One provider.

    Attributes:
        name: our word for it.
        ort_name: ONNX Runtime's word.
        libraries: shared libraries to try, in order, when it does not open; the first that fails names what is missing.
        plugin: module of a plug-in provider, None for one that is built in.
        mend: what brings what is missing.
    """

    name: str
    ort_name: str
    libraries: tuple[str, ...] = ()
    plugin: str | None = None
    mend: str = ""


PROVIDERS: dict[str, ProviderSpec] = {
    spec.name: spec
    for spec in (
        ProviderSpec(name="cpu", ort_name="CPUExecutionProvider"),
        ProviderSpec(
            name="cuda",
            ort_name="CUDAExecutionProvider",
            libraries=("libonnxruntime_providers_cuda.so", "libcuda.so.1", "libcudnn.so.9"),
            mend="pip install 'onnxruntime-gpu[cuda,cudnn]' and an NVIDIA driver >= 580",
        ),
        ProviderSpec(
            name="tensorrt",
            ort_name="TensorrtExecutionProvider",
            libraries=("libnvinfer.so.10", "libonnxruntime_providers_tensorrt.so", "libcuda.so.1"),
            mend="pip install 'tensorrt-cu13>=10,<11' 'onnxruntime-gpu[cuda,cudnn]' and an NVIDIA driver >= 580",
        ),
        ProviderSpec(
            name="openvino",
            ort_name="OpenVINOExecutionProvider",
            plugin="onnxruntime_ep_openvino",
            mend="pip install 'onnx-parity-toolkit[openvino]'",
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A session and the truth about it.

    Attributes:
        session: ONNX Runtime's `InferenceSession`.
        provider: our word for the provider that is active.
        fallback: whether it is not the one asked for.
        placement: graph nodes by our word for their provider.
        fallback_reason: why, where `fallback` is set.
        details: settings of the session worth recording.
    """

    session: Any
    provider: str
    fallback: bool = False
    placement: dict[str, int] = field(default_factory=dict)
    fallback_reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def find_provider(name: str) -> ProviderSpec:
    """Return a provider by our word for it.

    Raises:
        UsageError: the word is unknown.
    """
    if name not in PROVIDERS:
        raise UsageError(f"unknown provider {name!r}{suggest(name, PROVIDERS)}; known: {', '.join(PROVIDERS)}")
    return PROVIDERS[name]


def check_installation(api: OrtApi) -> None:
    """Refuse an ONNX Runtime of which two wheels share one folder, or whose files are from another version.

    Raises:
        ResourceError: names the wheels and the commands that mend it.
    """
    wheels = api.wheels()
    mend = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    if len(wheels) > 1:
        both = " and ".join(f"{name} {version}" for name, version in sorted(wheels.items()))
        raise ResourceError(
            f"{both} are both installed into the same folder, so neither can be trusted; mend it with: {mend}"
        )
    if wheels and api.version() not in wheels.values():
        name, version = next(iter(wheels.items()))
        raise ResourceError(
            f"{name} {version} is installed but its module says {api.version()}: half overwritten; mend it with: {mend}"
        )


def open_session(model: bytes, settings: RuntimeSettings, *, api: OrtApi) -> OpenedSession:
    """Open a session on the provider asked for, or fail; a fallback happens only where it was allowed, and is marked.

    Raises:
        UsageError: the provider is unknown.
        ResourceError: the installation is broken.
        ProviderError: the provider is not active; names the missing library and what brings it.
        ModelError: the engine refuses the model.
    """
    spec = find_provider(settings.provider)
    check_installation(api)
    try:
        return _open_strict(spec, model, settings, api=api)
    except ProviderError as error:
        if not settings.allow_fallback:
            raise
        cpu = _open_strict(PROVIDERS["cpu"], model, settings, api=api)
        return OpenedSession(
            session=cpu.session,
            provider="cpu",
            fallback=True,
            placement=cpu.placement,
            fallback_reason=str(error),
            details=cpu.details,
        )


def explain_missing(spec: ProviderSpec, *, api: OrtApi, otherwise: str) -> str:
    """Return why a provider is not active, in the dynamic loader's own words where it has any.

    Args:
        spec: the provider.
        api: the thin layer.
        otherwise: what to say when every library loads.
    """
    problems = (api.load_problem(library) for library in spec.libraries)
    reason = next((problem for problem in problems if problem is not None), otherwise)
    mend = f"; get it with: {spec.mend}" if spec.mend else ""
    return f"provider {spec.name} is not active: {reason}{mend}"


def _open_strict(spec: ProviderSpec, model: bytes, settings: RuntimeSettings, *, api: OrtApi) -> OpenedSession:
    devices = _plugin_devices(spec, api=api)
    if spec.plugin is None and spec.ort_name not in api.compiled_providers():
        known = ", ".join(api.compiled_providers())
        raise ProviderError(
            f"provider {spec.name} is not part of this onnxruntime build (it has {known}); get it with: {spec.mend}"
        )
    if spec.libraries:
        api.preload()
    entries = {"session.record_ep_graph_assignment_info": "1"}
    if spec.name != "cpu":
        entries["session.disable_cpu_ep_fallback"] = "1"
    options = {
        "graph_optimization_level": OPTIMISATION_LEVELS[settings.optimisation],
        # Several runs at a time share the cores by having one thread each.
        "intra_op_num_threads": settings.threads or (1 if settings.runs_at_once > 1 else 0),
    }
    provider_options = _provider_options(spec, settings)
    providers = [(spec.ort_name, provider_options)]
    try:
        session = api.create_session(model, entries=entries, options=options, providers=providers, devices=devices)
    except Exception as error:
        if spec.name == "cpu":
            raise ModelError(f"ONNX Runtime refuses the model: {first_line(error)}") from error
        raise ProviderError(explain_missing(spec, api=api, otherwise=first_line(error))) from error
    active = session.get_providers()
    if not active or active[0] != spec.ort_name:
        raise ProviderError(explain_missing(spec, api=api, otherwise=f"the session runs on {active}"))
    details = {
        "optimisation": settings.optimisation,
        **({"provider_options": provider_options} if provider_options else {}),
    }
    return OpenedSession(session=session, provider=spec.name, placement=_placement(session), details=details)


def _plugin_devices(spec: ProviderSpec, *, api: OrtApi) -> list[Any]:
    if spec.plugin is None:
        return []
    try:
        devices = api.register_plugin(spec.plugin, spec.ort_name)
    except ImportError as error:
        raise ProviderError(f"provider {spec.name} is not installed ({error}); get it with: {spec.mend}") from error
    except Exception as error:
        raise ProviderError(
            f"provider {spec.name} cannot be loaded: {first_line(error)}; get it again with: {spec.mend}"
        ) from error
    if not devices:
        raise ProviderError(
            f"provider {spec.name} is installed but its plug-in offers no device on this {platform.machine()} "
            "processor (release 1.8 accepts Intel processors only); use --provider cpu"
        )
    return devices[:1]


def _provider_options(spec: ProviderSpec, settings: RuntimeSettings) -> dict[str, str]:
    if spec.name != "cuda":
        return {}
    # HEURISTIC: EXHAUSTIVE costs hundreds of ms for every new shape, DEFAULT is the slow fallback mode of cuDNN.
    return {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "1" if settings.tf32 else "0"}


def _placement(session: Any) -> dict[str, int]:
    names = {spec.ort_name: spec.name for spec in PROVIDERS.values()}
    counts: dict[str, int] = {}
    for subgraph in session.get_provider_graph_assignment_info():
        name = names.get(subgraph.ep_name, subgraph.ep_name)
        counts[name] = counts.get(name, 0) + len(subgraph.get_nodes())
    return counts
