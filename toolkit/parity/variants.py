"""The rows of a matrix before any is judged: every runtime on every provider with every setting."""

from __future__ import annotations

__all__ = ["ParityVariant", "expand_matrix"]

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from toolkit.errors import UsageError
from toolkit.parity.config import ParityConfig
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.registry import ENGINES, WILDCARDS, find_runtime, precisions_of, require_provider, settle_engine

DEFAULT_RUNTIMES = ("torch", "ort")
# A server is asked alone, and with so many requests at once: what it puts together it may hand to the wrong one.
LOAD = 16


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


def expand_matrix(config: ParityConfig, *, has_run: bool) -> tuple[ParityVariant, ...]:
    """Return the rows of a matrix in order.

    Args:
        config: the axes.
        has_run: whether the model's run is at hand; PyTorch executes the run's own network.

    Raises:
        UsageError: an unknown runtime or provider, or one that none of the runtimes named has.
    """
    for provider in config.providers:
        require_provider(provider)
    names = ENGINES if config.runtimes == ("all",) else _carriers(config.runtimes or DEFAULT_RUNTIMES, config.providers)
    foreign = set(config.providers) - {"cpu", *WILDCARDS}  # the first is the default, which is said of other runtimes
    if foreign and all(find_runtime(name).is_remote for name in names):
        raise UsageError(
            f"runtime {names[0]} has no provider {', '.join(sorted(foreign))}: a server's is its own choice; leave "
            "--provider out"
        )
    rows: list[ParityVariant] = []
    for name in names:
        needs_run = find_runtime(name).needs_run
        if needs_run and not has_run and config.runtimes is None:
            continue
        rows += _of_engine(name, config)
    if not rows:
        asked = f" in {', '.join(config.precisions)}" if config.precisions else ""
        raise UsageError(f"none of {', '.join(names)} runs on {', '.join(config.providers)}{asked}")
    return tuple(rows)


def _carriers(names: tuple[str, ...], providers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the runtimes, with the builds of ONNX Runtime that some of the providers are in."""
    settled = (settle_engine(name, provider)[0] for name in names for provider in ("cpu", *providers))
    return tuple(dict.fromkeys(settled))


def _of_engine(name: str, config: ParityConfig) -> Iterator[ParityVariant]:
    entry, is_ort, everything = find_runtime(name), name == "ort", _is_everything(config)
    # ONNX Runtime is what the default is about; PyTorch comes along where it is here.
    is_extra = config.runtimes is None and entry.needs_run
    is_elsewhere = "cpu" in config.providers and "cpu" not in entry.devices and config.runtimes != ("all",)
    is_whole = everything or entry.is_remote or is_elsewhere
    devices = entry.devices if is_whole else tuple(item for item in config.providers if item in entry.devices)
    if is_extra and "cpu" not in devices:
        devices = ("cpu", *devices)  # PyTorch's own error on the CPU is what the others are compared with
    is_any = config.runtimes == ("all",)
    for device in devices:
        # A device computes with its own threads; more counts would be the same row again.
        several = config.threads if entry.has_threads and device == "cpu" else config.threads[:1]
        optimisations = config.optimisations if is_ort else ("all",)
        loads = (1, LOAD) if entry.is_remote else (1,)
        precisions = _precisions(name, device, config=config)
        for threads, optimisation, precision, load in product(several, optimisations, precisions, loads):
            settings = RuntimeSettings(
                runtime=name,
                provider=device,
                threads=threads if entry.has_threads else 0,
                optimisation=optimisation,
                runs_at_once=load,
                at=config.at,
                allow_fallback=config.allow_fallback,
                precision="fp32" if precision == "tf32" else precision,
                tf32=precision == "tf32",
            )
            yield ParityVariant(
                settings=settings,
                # A provider that was named must be there in ONNX Runtime, whatever else is tried.
                may_skip=everything or is_extra or (is_any and not is_ort),
                was_named=not (everything or is_extra or is_any),
            )


def _precisions(name: str, device: str, *, config: ParityConfig) -> list[str]:
    """Return what an engine computes in on a device, of what was asked for."""
    asked = config.precisions or (("all",) if config.runtimes == ("all",) else ("fp32",))
    possible = precisions_of(name, device)
    return [item for item in possible if item in asked or "all" in asked]


def _is_everything(config: ParityConfig) -> bool:
    # A matrix wants every provider that works, so `auto` means the same as `all` here.
    return not set(WILDCARDS).isdisjoint(config.providers)
