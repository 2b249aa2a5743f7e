"""The settings of the worker that measures one variant of a sweep."""

from __future__ import annotations

__all__ = ["NoRunError", "bindings_of", "settings_for"]

from typing import TYPE_CHECKING

from toolkit.environment import usable_cores
from toolkit.errors import ModelError
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort_binding import DEVICES
from toolkit.runtimes.registry import find_entry

if TYPE_CHECKING:
    from toolkit.bench.config import BenchConfig
    from toolkit.bench.variants import Variant
    from toolkit.runtimes.source import ModelSource


class NoRunError(ModelError):
    """A runtime executes a run's network, and the model comes without one."""


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
    if find_entry(variant.runtime).needs_run and source.run is None:
        raise NoRunError(
            f"no run: runtime {variant.runtime} executes a run's network, and this model comes without one"
        )
    return RuntimeSettings(
        runtime=variant.runtime,
        provider=variant.provider,
        precision=precision,
        threads=threads,
        runs_at_once=_runs_at_once(variant, config, threads),
        io_binding=io_binding,
        tf32=config.tf32,
        device=config.device,
        require_all_nodes=config.require_all_nodes or config.device.cuda_graph,
        allow_fallback=config.allow_fallback,
    )


def bindings_of(variant: Variant, config: BenchConfig) -> tuple[bool, ...]:
    """Return with and without which IO binding a variant is measured: without, where it has no device of its own."""
    if variant.runtime != "ort" or variant.provider not in DEVICES:
        return (False,)
    return tuple(dict.fromkeys(word != "off" for word in config.io_bindings))


def _runs_at_once(variant: Variant, config: BenchConfig, threads: int) -> int:
    """Return how many calls are in flight: one a core where a scenario has them and the engine takes them."""
    scenario = config.plan.scenario
    if scenario not in {"multi-stream", "offline"} or config.plan.driver != "toolkit":
        return 1
    if variant.provider not in find_entry(variant.runtime).reentrant:
        return 1
    cores = max(usable_cores() // max(threads, 1), 1)
    return min(cores, config.plan.streams) if scenario == "multi-stream" else cores
