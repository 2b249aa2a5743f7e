"""The rows of a matrix: every runtime on every provider that it has, with every setting."""

from __future__ import annotations

__all__ = ["ParityVariant", "expand_variants"]

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from toolkit.errors import UsageError
from toolkit.parity.config import ParityConfig
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.provider_list import PROVIDERS
from toolkit.runtimes.registry import ENGINES, WILDCARDS, find_entry, precisions_of, require_provider

DEFAULT_RUNTIMES = ("torch", "ort")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityVariant:
    """One row to be judged.

    Attributes:
        settings: how to execute.
        may_skip: whether it came from `all` or a default, so that its absence is a skip; what was asked for by name
            may not be absent.
        was_named: whether the engine itself was asked for by its name, or is the one of the default: it may not refuse.
    """

    settings: RuntimeSettings
    may_skip: bool
    was_named: bool = True


def expand_variants(config: ParityConfig, *, has_run: bool) -> tuple[ParityVariant, ...]:
    """Return the rows of a matrix in order.

    Args:
        config: the axes.
        has_run: whether the model's run is at hand; PyTorch executes the run's own network.

    Raises:
        UsageError: an unknown runtime or provider, or one that none of the runtimes named has.
    """
    for provider in config.providers:
        require_provider(provider)
    names = ENGINES if config.runtimes == ("all",) else config.runtimes or DEFAULT_RUNTIMES
    rows: list[ParityVariant] = []
    for name in names:
        needs_run = find_entry(name).needs_run
        if needs_run and not has_run and config.runtimes is None:
            continue
        rows += _of_ort(config) if name == "ort" else _of_engine(name, config)
    if not rows:
        asked = f" in {', '.join(config.precisions)}" if config.precisions else ""
        raise UsageError(f"none of {', '.join(names)} runs on {', '.join(config.providers)}{asked}")
    return tuple(rows)


def _of_ort(config: ParityConfig) -> Iterator[ParityVariant]:
    everything = _is_everything(config)
    for provider in PROVIDERS if everything else config.providers:
        if provider not in PROVIDERS:
            continue
        for threads in config.threads if provider == "cpu" else config.threads[:1]:
            for optimisation, precision in product(config.optimisations, _precisions("ort", provider, config)):
                settings = RuntimeSettings(
                    provider=provider,
                    threads=threads,
                    optimisation=optimisation,
                    allow_fallback=config.allow_fallback,
                    precision="fp32" if precision == "tf32" else precision,
                    tf32=precision == "tf32",
                )
                was_named = not everything and config.runtimes != ("all",)
                yield ParityVariant(settings=settings, may_skip=everything, was_named=was_named)


def _of_engine(name: str, config: ParityConfig) -> Iterator[ParityVariant]:
    entry, everything, is_default = find_entry(name), _is_everything(config), config.runtimes is None
    devices = entry.devices if everything else tuple(item for item in config.providers if item in entry.devices)
    if is_default and "cpu" not in devices:
        devices = ("cpu", *devices)  # PyTorch's own error on the CPU is what the others are compared with
    for device in devices:
        several = config.threads if entry.has_threads and device == "cpu" else config.threads[:1]
        for threads, precision in product(several, _precisions(name, device, config)):
            settings = RuntimeSettings(
                runtime=name,
                provider=device,
                threads=threads if entry.has_threads else 0,
                allow_fallback=config.allow_fallback,
                precision="fp32" if precision == "tf32" else precision,
                tf32=precision == "tf32",
            )
            may_skip = everything or is_default or config.runtimes == ("all",)
            yield ParityVariant(settings=settings, may_skip=may_skip, was_named=not may_skip)


def _precisions(name: str, device: str, config: ParityConfig) -> list[str]:
    """Return what an engine computes in on a device, of what was asked for."""
    asked = config.precisions or (("all",) if config.runtimes == ("all",) else ("fp32",))
    possible = precisions_of(name, device)
    return [item for item in possible if item in asked or "all" in asked]


def _is_everything(config: ParityConfig) -> bool:
    # A matrix wants every provider that works, so `auto` means the same as `all` here.
    return not set(WILDCARDS).isdisjoint(config.providers)
