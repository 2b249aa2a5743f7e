"""The settings of the worker that measures one variant of a sweep."""

from __future__ import annotations

__all__ = ["NoPrecisionError", "NoRunError", "bindings_of", "find_precision_file", "settings_for"]


from pathlib import Path

from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.variants import Variant
from toolkit.card import read_card
from toolkit.environment import usable_cores
from toolkit.errors import ModelError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.onnx_file.vetting import vet_model
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.binding import DEVICES
from toolkit.runtimes.registry import find_runtime


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
    if find_runtime(variant.runtime).needs_run and source.run is None:
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
    if variant.provider not in find_runtime(variant.runtime).reentrant:
        return 1
    cores = max(usable_cores() // max(threads, 1), 1)
    return min(cores, config.plan.streams) if scenario == "multi-stream" else cores


class NoPrecisionError(UsageError):
    """Neither the engine computes in a precision nor is there a file of it."""


def find_precision_file(source: ModelSource, own: str, precision: str) -> ModelSource:
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


def _read_origin(found: ModelSource, path: Path) -> tuple[str | None, str]:
    try:
        summary = vet_model(found.model, name=path.name, allow_foreign=True)
        card = read_card(summary["metadata"], name=path.name)
    except ModelError:
        return None, "a file without a card"
    return card.derived_from_sha256, card.precision
