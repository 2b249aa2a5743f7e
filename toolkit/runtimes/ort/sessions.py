"""The strict way to open a session on one of ONNX Runtime's providers."""

from __future__ import annotations

__all__ = ["OpenedSession", "check_installation", "explain_missing", "open_session"]

import functools
import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from toolkit.counts import count_of
from toolkit.errors import ModelError, ProviderError, ResourceError
from toolkit.nvidia import JOINT, mend_driver, mend_libraries, mend_words
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.engine_words import sum_up
from toolkit.runtimes.ort.api import OrtApi
from toolkit.runtimes.providers import PROVIDERS, ProviderSpec, find_provider

OPTIMISATION_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "none": "ORT_DISABLE_ALL",
}
OUR_NAMES = {spec.ort_name: spec.name for spec in PROVIDERS.values()}
RECORD_PLACEMENT = {"session.record_ep_graph_assignment_info": "1"}
ALL_NODES = "session.disable_cpu_ep_fallback"
# What ONNX Runtime says when a node was left to the CPU although that was forbidden.
CPU_FALLBACK = "fallback to CPU EP has been explicitly disabled"
# Nodes elsewhere that are named one by one.
MOST_NAMED = 20


class _Placement(NamedTuple):
    """Where a graph runs.

    Attributes:
        counts: number of nodes by our word for their provider.
        elsewhere: of nodes that are not on the provider asked for: operator, name and provider; at most 20.
    """

    counts: dict[str, int]
    elsewhere: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A session and the truth about it.

    Attributes:
        session: ONNX Runtime's `InferenceSession`.
        provider: our word for the provider that is active.
        fallback: whether it is not the one asked for.
        placement: graph nodes by our word for their provider.
        details: settings of the session worth recording; `fallback_reason` where `fallback` is set.
    """

    session: Any
    provider: str
    fallback: bool = False
    placement: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def check_installation(api: OrtApi) -> None:
    """Refuse an ONNX Runtime of which two wheels share one folder, or whose files are from another version.

    Raises:
        ResourceError: names the wheels and the commands that mend it.
    """
    wheels = api.wheels()
    mend = f"pip uninstall -y {' '.join(sorted(wheels))} && pip install onnxruntime-gpu"
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
        return _open_strict(spec, model, settings=settings, api=api)
    except ProviderError as error:
        if not settings.allow_fallback:
            raise
        cpu = _open_strict(PROVIDERS["cpu"], model, settings=settings, api=api)
        return replace(cpu, fallback=True, details={**cpu.details, "fallback_reason": str(error)})


def explain_missing(spec: ProviderSpec, *, api: OrtApi, otherwise: str) -> str:
    """Return why a provider is not active, in the dynamic loader's own words where it has any, and what mends that.

    Args:
        spec: the provider.
        api: the thin layer.
        otherwise: what to say when every library loads, or when it is what the driver answers.
    """
    found = (api.load_problem(library) for library in spec.libraries)
    problems = list(dict.fromkeys(problem for problem in found if problem is not None))
    also = ", ".join(problem.partition(":")[0] for problem in problems[1:])
    missing = [problems[0] + (f"; nor does it open {also}" if also else "")] if problems else []
    answers = [otherwise] if not problems or mend_driver(otherwise) else []
    mend = JOINT.join(filter(None, (*map(mend_words, answers), mend_libraries(problems))))
    reason = "; and ".join((*answers, *missing))
    mend = mend or spec.mend_device(reason)
    return f"provider {spec.name} is not active: {reason}" + (f"; get it with: {mend}" if mend else "")


def _open_strict(spec: ProviderSpec, model: bytes, *, settings: RuntimeSettings, api: OrtApi) -> OpenedSession:
    devices = _plugin_devices(spec, api=api)
    if spec.plugin is None and spec.ort_name not in api.compiled_providers():
        known = ", ".join(api.compiled_providers())
        raise ProviderError(
            f"provider {spec.name} is not part of this onnxruntime build (it has {known}); get it with: {spec.mend}"
        )
    if spec.libraries:
        api.preload()
    provider_options = settings.device.for_provider(
        spec.name, tf32=settings.tf32, precision=settings.precision, threads=settings.threads
    )
    create = functools.partial(
        api.create_session,
        model,
        options={
            "graph_optimization_level": OPTIMISATION_LEVELS[settings.optimisation],
            # Several runs at a time share the cores by having one thread each.
            "intra_op_num_threads": settings.threads or (1 if settings.runs_at_once > 1 else 0),
        },
        providers=[(spec.ort_name, provider_options)],
        devices=devices,
    )
    wants_all = spec.has_8_bit if settings.require_all_nodes is None else settings.require_all_nodes
    strict = {ALL_NODES: "1"} if spec.name != "cpu" and wants_all else {}
    try:
        session = create(entries={**RECORD_PLACEMENT, **strict})
    except Exception as error:
        if spec.name == "cpu":
            raise ModelError(f"ONNX Runtime refuses the model: {sum_up(error)}") from error
        reason = _explain_nodes(spec, create, error=error) if strict else sum_up(error)
        raise ProviderError(explain_missing(spec, api=api, otherwise=reason)) from error
    active = session.get_providers()
    if not active or active[0] != spec.ort_name:
        raise ProviderError(explain_missing(spec, api=api, otherwise=f"the session runs on {active}"))
    # A session that differs only in that it tells all.
    told = create(entries={**RECORD_PLACEMENT, **spec.recording}) if spec.recording else session
    placement = _read_placement(told, spec.name)
    if not placement.counts and spec.name != "cpu":
        raise ModelError(f"nothing of this model is left to run on {spec.name}: every node folds to a constant")
    if placement.counts and spec.name not in placement.counts:
        raise ProviderError(f"provider {spec.name} is active but took no node of this model: {placement.counts}")
    details = {
        "optimisation": settings.optimisation,
        **({"provider_options": provider_options} if provider_options else {}),
        **({"elsewhere": placement.elsewhere} if placement.elsewhere else {}),
    }
    return OpenedSession(session=session, provider=spec.name, placement=placement.counts, details=details)


def _explain_nodes(spec: ProviderSpec, create: Callable[..., Any], *, error: Exception) -> str:
    """Return which nodes the provider left, where that is why a session that wants all of them there was refused."""
    if CPU_FALLBACK not in str(error):
        return sum_up(error)
    try:
        left = _read_placement(create(entries={**RECORD_PLACEMENT, **spec.recording}), spec.name)
    except Exception as second:  # noqa: BLE001 - ONNX Runtime's exceptions share no public base; the first one is told
        return f"{sum_up(error)} (and without that demand: {sum_up(second)})"
    total = sum(left.counts.values())
    return (
        f"only {left.counts.get(spec.name, 0)} of {count_of(total, 'node')} run there; elsewhere: "
        f"{', '.join(left.elsewhere)}"
    )


def _plugin_devices(spec: ProviderSpec, *, api: OrtApi) -> list[Any]:
    if spec.plugin is None:
        return []
    try:
        devices = api.register_plugin(spec.plugin, spec.ort_name)
    except ImportError as error:
        raise ProviderError(f"provider {spec.name} is not installed ({error}); get it with: {spec.mend}") from error
    except Exception as error:
        raise ProviderError(
            f"provider {spec.name} cannot be loaded: {sum_up(error)}; get it again with: {spec.mend}"
        ) from error
    if not devices:
        raise ProviderError(
            f"provider {spec.name} is installed but its plug-in offers no device on this {platform.machine()} "
            "processor (release 1.8 accepts Intel processors only); use --provider cpu"
        )
    return devices[:1]  # a session runs on one


def _read_placement(session: Any, wanted: str) -> _Placement:
    """Read where the nodes are; the session was created with `session.record_ep_graph_assignment_info`.

    Args:
        session: ONNX Runtime's `InferenceSession`.
        wanted: our word for the provider asked for.
    """
    counts: Counter[str] = Counter()
    elsewhere: list[str] = []
    for subgraph in session.get_provider_graph_assignment_info():
        name, nodes = OUR_NAMES.get(subgraph.ep_name, subgraph.ep_name), subgraph.get_nodes()
        counts[name] += len(nodes)
        if name != wanted:
            elsewhere += [f"{node.op_type} {node.name or '(no name)'} on {name}" for node in nodes]
    return _Placement(dict(counts), elsewhere[:MOST_NAMED])
