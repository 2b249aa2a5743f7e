"""The model of a prediction: probed, then opened in this process on the provider asked for."""

from __future__ import annotations

__all__ = ["AUTO", "OpenedModel", "open_model"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import ProviderError, UsageError
from toolkit.prediction.cores import usable_cores
from toolkit.runtimes.base import Runtime, RuntimeSettings
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.probe import ensure_probed
from toolkit.runtimes.registry import find_entry, open_runtime
from toolkit.runtimes.source import ModelSource

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.prediction.config import PredictionConfig
    from toolkit.runtimes.process import WorkerRuntime

AUTO = "auto"
# TensorRT builds an engine for minutes and OpenVINO may compute in bfloat16: both are asked for by name only.
AUTO_ORDER = ("cuda", "cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedModel:
    """A model that is ready.

    Attributes:
        source: the bytes that run, and their hash.
        runtime: the opened engine; in a process of its own where it lives in a private environment.
        card: the model's card.
        settings: how it was opened.
        notes: providers that `auto` passed over, with their reasons.
    """

    source: ModelSource
    runtime: Runtime | WorkerRuntime
    card: Card
    settings: RuntimeSettings
    notes: tuple[str, ...] = ()


def open_model(config: PredictionConfig) -> OpenedModel:
    """Probe and open a model; what is hashed is what runs.

    Raises:
        UsageError: the runtime or the provider is unknown, or they do not go together.
        ModelError: the file cannot be used.
        ProviderError: the provider asked for is not active and no fallback was allowed.
        ResourceError: the runtime is not installed.
    """
    _check_request(config)
    source = ModelSource.read(config.model)
    if config.provider != AUTO:
        return _open(source, config, provider=config.provider)
    notes: list[str] = []
    for provider in AUTO_ORDER[:-1]:
        try:
            return _open(source, config, provider=provider, notes=tuple(notes))
        except ProviderError as error:
            notes.append(f"auto passed over {provider}: {error}")
    return _open(source, config, provider=AUTO_ORDER[-1], notes=tuple(notes))


def _check_request(config: PredictionConfig) -> None:
    entry = find_entry(config.runtime)
    if entry.needs_run or entry.is_reference:
        raise UsageError(f"runtime {config.runtime} does not execute a file by itself; toolkit parity compares it")
    devices = (*entry.devices, *([AUTO] if len(entry.devices) > 1 else []))
    if config.provider not in devices and len(entry.devices) == 1:
        raise UsageError(f"runtime {config.runtime} runs on {entry.devices[0]}, not on {config.provider}")
    if config.precision not in entry.precisions:
        known = ", ".join(entry.precisions)
        raise UsageError(f"runtime {config.runtime} computes in {known}, not in {config.precision}")


def _open(source: ModelSource, config: PredictionConfig, *, provider: str, notes: tuple[str, ...] = ()) -> OpenedModel:
    # On a processor as fast as all cores in one batch, and what else a batch needs is then done by all of them too.
    is_reentrant = provider in find_entry(config.runtime).reentrant and not config.threads
    settings = RuntimeSettings(
        runtime=config.runtime,
        provider=provider,
        precision="fp32" if config.precision == "tf32" else config.precision,
        tf32=config.precision == "tf32",
        threads=config.threads,
        runs_at_once=usable_cores() if is_reentrant else 1,
        allow_fallback=config.allow_fallback and config.provider != AUTO,
    )
    ensure_probed(source, settings)
    runtime = _open_here_or_there(source, settings)
    try:
        card = require_contract(runtime.info, name=str(source.path))
    except BaseException:
        runtime.close()
        raise
    return OpenedModel(source=source, runtime=runtime, card=card, settings=settings, notes=notes)


def _open_here_or_there(source: ModelSource, settings: RuntimeSettings) -> Runtime | WorkerRuntime:
    if not find_entry(settings.runtime).private:
        return open_runtime(source, settings)
    from toolkit.runtimes.process import WorkerRuntime, blame_the_file

    with blame_the_file(str(source.path)):
        return WorkerRuntime(source, settings, allow_foreign=False)
