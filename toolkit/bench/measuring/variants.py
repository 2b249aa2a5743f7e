"""Which runtime runs on which provider: the words of a request expanded, `auto` and `all` included."""

from __future__ import annotations

__all__ = ["Variant", "expand_variants", "providers_of"]

from dataclasses import dataclass

from toolkit.bench.config import BenchConfig
from toolkit.errors import UsageError
from toolkit.runtimes.registry import ENGINES, RUNTIMES, find_runtime, require_provider

# TensorRT is left out: building an engine takes minutes, which nobody asked for by saying `auto`.
AUTO_ORDER = ("cuda", "mps", "openvino", "cpu")


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


def providers_of(runtime: str) -> tuple[str, ...]:
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
                known = variants.get((runtime, variant.provider))
                if known is None or (variant.provider_named and not known.provider_named):
                    variants[runtime, variant.provider] = variant
    return tuple(variants.values())


def _runtimes(words: tuple[str, ...]) -> list[tuple[str, bool]]:
    named = [(word, True) for word in words if word != "all"]
    if "all" not in words:
        return named
    return named + [(name, False) for name in ENGINES if not RUNTIMES[name].npm and (name, True) not in named]


def _variants(runtime: str, word: str, *, runtime_named: bool, group: int) -> list[Variant]:
    own = providers_of(runtime)
    if word == "all":
        return [
            Variant(runtime=runtime, provider=name, runtime_named=runtime_named, provider_named=False) for name in own
        ]
    if word == "auto":
        order = [name for name in AUTO_ORDER if name in own]
        return [
            Variant(runtime=runtime, provider=name, runtime_named=runtime_named, provider_named=False, group=group)
            for name in order
        ]
    require_provider(word)
    impossible = "" if word in own else f"runtime {runtime} has no provider {word}; it has {', '.join(own)}"
    if impossible and runtime_named:
        raise UsageError(impossible)
    return [Variant(runtime=runtime, provider=word, runtime_named=runtime_named, impossible=impossible)]
