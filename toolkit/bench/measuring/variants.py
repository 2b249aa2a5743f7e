"""Which runtime runs on which provider, and with which settings.

The words of a request are expanded, `auto` and `all` included; a file of another precision lies beside the model.
"""

from __future__ import annotations

__all__ = [
    "NoPrecisionError",
    "NoRunError",
    "Variant",
    "bindings_of",
    "expand_variants",
    "find_precision_file",
    "settings_for",
]

from dataclasses import dataclass
from pathlib import Path

from toolkit.bench.config import BenchConfig
from toolkit.card import read_card
from toolkit.environment import usable_cores
from toolkit.errors import ModelError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.onnx_file.vetting import vet_model
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.providers import PROVIDERS, REMOTE
from toolkit.runtimes.registry import ENGINES, RUNTIMES, find_runtime, require_provider, settle_engine

# In flight at a server that is kept busy.
REMOTE_CALLS = 16
# TensorRT is left out: building an engine takes minutes, which nobody asked for by saying `auto`.
AUTO_ORDER = ("cuda", "mps", "openvino", "cpu")


class NoRunError(ModelError):
    """A runtime executes a run's network, and the model comes without one."""


class NoPrecisionError(UsageError):
    """Neither the engine computes in a precision nor is there a file of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One runtime on one provider.

    Attributes:
        runtime: name in the registry.
        provider: name of the provider or device.
        runtime_named: the runtime was asked for by name, so it may not be skipped.
        provider_named: the provider was asked for by name, so it may not be skipped.
        group: variants of one `auto` share a group: the first that works is measured. None elsewhere.
        impossible: why this pair cannot be, where a named provider meets a runtime without it.
    """

    runtime: str
    provider: str
    runtime_named: bool = True
    provider_named: bool = True
    group: int | None = None
    impossible: str = ""


def expand_variants(config: BenchConfig) -> tuple[Variant, ...]:
    """Return every pair that the request means, in its order, each once.

    Raises:
        UsageError: a name is unknown, or a named runtime does not have the named provider.
    """
    variants: dict[tuple[str, str], Variant] = {}
    for runtime, runtime_named in _runtimes(config.runtimes):
        for number, word in enumerate(config.providers):
            for variant in _variants(runtime, word, runtime_named=runtime_named, group=number):
                # Asked for both ways: the name binds more than the wildcard.
                key = variant.runtime, variant.provider
                known = variants.get(key)
                if known is None or (variant.provider_named and not known.provider_named):
                    variants[key] = variant
    return tuple(variants.values())


def settings_for(
    variant: Variant,
    config: BenchConfig,
    *,
    precision: str,
    threads: int,
    source: ModelSource,
    io_binding: bool = False,
) -> RuntimeSettings:
    """Return the settings of one variant of a sweep.

    Args:
        variant: the runtime on its provider.
        config: the sweep.
        precision: arithmetic to ask for.
        threads: threads inside one operator.
        source: tells whether there is a run to execute.
        io_binding: keep inputs and outputs in buffers of the device.

    Raises:
        ModelError: the runtime needs a run and the source has none.
    """
    if find_runtime(variant.runtime).needs_run and source.run is None:
        raise NoRunError(
            f"no run: runtime {variant.runtime} executes a run's network, and this model comes without one"
        )
    return RuntimeSettings(
        runtime=variant.runtime,
        provider=variant.provider,
        precision=precision,
        threads=threads,
        runs_at_once=_runs_at_once(variant, config, threads=threads),
        io_binding=io_binding,
        tf32=config.tf32,
        device=config.device,
        require_all_nodes=config.require_all_nodes or config.device.cuda_graph,
        allow_fallback=config.allow_fallback,
        at=config.at,
    )


def bindings_of(variant: Variant, config: BenchConfig) -> tuple[bool, ...]:
    """Return with and without which IO binding a variant is measured: without, where it has no device of its own."""
    spec = PROVIDERS.get(variant.provider)
    if spec is None or spec.runtime != variant.runtime or not spec.memory:
        return (False,)
    return tuple(dict.fromkeys(word != "off" for word in config.io_bindings))


def find_precision_file(source: ModelSource, own: str, *, precision: str) -> ModelSource:
    """Return `<name>.<precision>.onnx` beside the model, if its card says that it comes from this very file.

    Args:
        source: the model.
        own: its own precision.
        precision: the one asked for.

    Raises:
        NoPrecisionError: there is no such file, or it comes from another one.
    """
    path = source.path.with_name(f"{source.path.stem}.{precision}.onnx")
    exported = precision in {"fp16", "int8"}
    advice = (
        f"make it with: toolkit export --precision {precision}"
        if exported
        else f"this engine does not compute in {precision}"
    )
    if not path.is_file():
        raise NoPrecisionError(f"the file is {own}, not {precision}, and there is no {path.name} beside it; {advice}")
    found = ModelSource.read(path)
    derived, actual = _read_origin(found, path)
    if actual != precision or derived != source.sha256:
        raise NoPrecisionError(f"{path.name} is {actual} and was not derived from this {source.path.name}; {advice}")
    return found


def _runtimes(words: tuple[str, ...]) -> list[tuple[str, bool]]:
    named = [(word, True) for word in words if word != "all"]
    if "all" not in words:
        return named
    # What has no CPU is another build of an engine that is there already, for a provider that has to be named.
    usual = (name for name in ENGINES if not RUNTIMES[name].npm and "cpu" in RUNTIMES[name].devices)
    return named + [(name, False) for name in usual if (name, True) not in named]


def _variants(runtime: str, word: str, *, runtime_named: bool, group: int) -> list[Variant]:
    runtime, word = settle_engine(runtime, word)
    own = _providers_of(runtime)
    if word == "all":
        return [
            Variant(runtime=runtime, provider=name, runtime_named=runtime_named, provider_named=False) for name in own
        ]
    if word == "auto":
        order = [name for name in (*AUTO_ORDER, REMOTE) if name in own]
        return [
            Variant(runtime=runtime, provider=name, runtime_named=runtime_named, provider_named=False, group=group)
            for name in order
        ]
    if word != REMOTE:
        require_provider(word)
    impossible = "" if word in own else f"runtime {runtime} has no provider {word}; it has {', '.join(own)}"
    if impossible and runtime_named:
        raise UsageError(impossible)
    return [Variant(runtime=runtime, provider=word, runtime_named=runtime_named, impossible=impossible)]


def _providers_of(runtime: str) -> tuple[str, ...]:
    """Return the providers or devices that a runtime can be asked for.

    Raises:
        UsageError: the runtime is unknown, a reference and not an engine, or out of a stopwatch's reach.
    """
    entry = find_runtime(runtime)
    if entry.is_reference:
        # It computes rounding errors beside the answers.
        raise UsageError(f"runtime {runtime} is a reference for parity, not an engine; its time would mean nothing")
    if entry.npm:
        raise UsageError(f"runtime {runtime} is reached through a pipe, whose time a measurement would hold")
    return entry.devices


def _runs_at_once(variant: Variant, config: BenchConfig, *, threads: int) -> int:
    """Return how many calls are in flight: one a core where a scenario has them and the engine takes them."""
    scenario, is_remote = config.plan.scenario, variant.provider == REMOTE
    if scenario not in {"multi-stream", "offline"} or not (is_remote or config.plan.driver == "toolkit"):
        return 1
    if variant.provider not in find_runtime(variant.runtime).reentrant:
        return 1
    if is_remote:  # a call in flight keeps no core of this machine
        return min(REMOTE_CALLS, config.plan.streams) if scenario == "multi-stream" else REMOTE_CALLS
    cores = max(usable_cores() // max(threads, 1), 1)
    return min(cores, config.plan.streams) if scenario == "multi-stream" else cores


def _read_origin(found: ModelSource, path: Path) -> tuple[str | None, str]:
    try:
        summary = vet_model(found.model, name=path.name, allow_foreign=True)
        card = read_card(summary["metadata"], name=path.name)
    except ModelError:
        return None, "a file without a card"
    return card.derived_from_sha256, card.precision
