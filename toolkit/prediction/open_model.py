"""The model of a prediction: probed, then opened in this process on the provider asked for."""

from __future__ import annotations

__all__ = ["AUTO", "DescribedModel", "OpenedModel", "open_engine", "open_model", "settings_of"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from toolkit.errors import ProviderError, UsageError
from toolkit.imaging.prepare import AS_IT_COMES, require_effect
from toolkit.runtimes.base import Runtime, RuntimeInfo, RuntimeSettings
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.providers import describe_device
from toolkit.runtimes.registry import find_runtime, open_runtime, precisions_of, settle_engine
from toolkit.runtimes.workers.probe import ensure_probed

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.imaging.settings import PrepareSettings
    from toolkit.onnx_file.source import ModelSource
    from toolkit.prediction.config import EngineChoice
    from toolkit.runtimes.workers.client import WorkerRuntime

AUTO = "auto"
# TensorRT builds an engine for minutes and OpenVINO may compute in bfloat16: both are asked for by name only.
AUTO_ORDER = ("cuda", "cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedModel:
    """A model that is ready, here or on other machines.

    Attributes:
        source: the bytes that run, and their hash.
        info: what the engine says of itself.
        card: the model's card.
        settings: how it was opened.
        notes: providers that `auto` passed over, with their reasons; what a device is, and what did not run there.
    """

    source: ModelSource
    info: RuntimeInfo
    card: Card
    settings: RuntimeSettings
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedModel(DescribedModel):
    """A model that is ready here.

    Attributes:
        runtime: the opened engine; in a process of its own where it lives in a private environment.
    """

    runtime: Runtime | WorkerRuntime


def open_model(
    source: ModelSource,
    choice: EngineChoice,
    *,
    wishes: PrepareSettings = AS_IT_COMES,
    runs_at_once: int = 1,
    probe: bool = True,
) -> OpenedModel:
    """Probe and open a model; what is hashed is what runs.

    Args:
        source: the model file.
        choice: what is to run it.
        wishes: how pictures are to be brought to it.
        runs_at_once: how often its caller would like to run it at the same time; it is opened for that where the engine
            can on this provider and is left its own choice of threads, else for one.
        probe: run a file that was never seen in a worker first, so that one that crashes the engine is an error.

    Raises:
        UsageError: the runtime or the provider is unknown, they do not go together, or a wish has no effect.
        ModelError: the file cannot be used.
        ProviderError: the provider asked for is not active and no fallback was allowed.
        ResourceError: the runtime is not installed.
    """
    choice = _settle(choice)
    opened = _open_on_provider(source, choice, runs_at_once=runs_at_once, probe=probe)
    try:
        require_effect(wishes, opened.card.input)
    except UsageError:
        opened.runtime.close()
        raise
    return opened


def _open_on_provider(source: ModelSource, choice: EngineChoice, *, runs_at_once: int, probe: bool) -> OpenedModel:
    *doubtful, last = AUTO_ORDER if choice.provider == AUTO else (choice.provider,)
    notes: list[str] = []
    how: dict[str, Any] = {"runs_at_once": runs_at_once, "probe": probe}
    for provider in doubtful:
        try:
            opened = _open(source, choice, provider=provider, **how)
            return replace(opened, notes=(*notes, *opened.notes))
        except ProviderError as error:
            notes.append(f"auto passed over {provider}: {error}")
    opened = _open(source, choice, provider=last, **how)
    return replace(opened, notes=(*notes, *opened.notes))


def settings_of(choice: EngineChoice) -> RuntimeSettings:
    """Return with which settings an engine is opened that was chosen, on the provider that was named.

    Raises:
        UsageError: the runtime or the provider is unknown, they do not go together, or it executes no file.
    """
    choice = _settle(choice)
    _check_choice(choice)
    return RuntimeSettings(
        runtime=choice.runtime,
        provider=choice.provider,
        precision="fp32" if choice.precision == "tf32" else choice.precision,
        tf32=choice.precision == "tf32",
        threads=choice.threads,
        io_binding=True,
        allow_fallback=choice.allow_fallback,
    )


def _settle(choice: EngineChoice) -> EngineChoice:
    runtime, provider = settle_engine(choice.runtime, choice.provider)
    return replace(choice, runtime=runtime, provider=provider)


def _check_choice(choice: EngineChoice) -> None:
    entry = find_runtime(choice.runtime)
    if entry.needs_run or entry.is_reference or entry.is_remote:
        raise UsageError(f"runtime {choice.runtime} does not execute a file by itself; toolkit parity compares it")
    # Of ONNX Runtime's own providers a misspelt one gets the nearest name, further down.
    if choice.runtime != "ort" and choice.provider not in entry.devices:
        raise UsageError(f"runtime {choice.runtime} runs on {', '.join(entry.devices)}, not on {choice.provider}")
    known = entry.precisions if choice.provider == AUTO else precisions_of(choice.runtime, choice.provider)
    if choice.precision not in known:
        where = f"runtime {choice.runtime} on {choice.provider}"
        raise UsageError(f"{where} computes in {', '.join(known)}, not in {choice.precision}")


def _open(source: ModelSource, choice: EngineChoice, *, provider: str, runs_at_once: int, probe: bool) -> OpenedModel:
    is_reentrant = provider in find_runtime(choice.runtime).reentrant and not choice.threads
    settings = replace(
        settings_of(choice),
        provider=provider,
        runs_at_once=runs_at_once if is_reentrant else 1,
        allow_fallback=choice.allow_fallback and choice.provider != AUTO,
    )
    if probe:
        ensure_probed(source, settings)
    runtime = open_engine(source, settings)
    try:
        card = require_contract(runtime.info, name=str(source.path))
    except BaseException:
        runtime.close()
        raise
    notes = _notes(runtime.info)
    return OpenedModel(source=source, runtime=runtime, info=runtime.info, card=card, settings=settings, notes=notes)


def _notes(info: RuntimeInfo) -> tuple[str, ...]:
    """Return what a user of a device should know: what it is, and what did not run there."""
    elsewhere = info.details.get("elsewhere", ())
    return (
        *([f"{info.provider_active} computes on {describe_device(info.device)}"] if info.device else []),
        *([f"not on {info.provider_active}: {', '.join(elsewhere)}"] if elsewhere else []),
    )


def open_engine(source: ModelSource, settings: RuntimeSettings) -> Runtime | WorkerRuntime:
    """Open a model in this process, or in a worker where its engine lives in an environment of its own.

    Raises:
        ModelError, ProviderError, ResourceError: as `open_model`.
    """
    if not find_runtime(settings.runtime).private:
        return open_runtime(source, settings)
    from toolkit.runtimes.workers.client import blame_the_file, open_worker

    with blame_the_file(str(source.path)):
        return open_worker(source, settings, allow_foreign=False)
