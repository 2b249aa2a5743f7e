"""The model of a prediction: probed, then opened in this process on the provider asked for."""

from __future__ import annotations

__all__ = ["AUTO", "OpenedModel", "open_model"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import ProviderError
from toolkit.runtimes.base import Runtime, RuntimeSettings
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.probe import ensure_probed
from toolkit.runtimes.registry import open_runtime
from toolkit.runtimes.source import ModelSource

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.prediction.config import PredictionConfig

AUTO = "auto"
# TensorRT builds an engine for minutes and OpenVINO may compute in bfloat16: both are asked for by name only.
AUTO_ORDER = ("cuda", "cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedModel:
    """A model that is ready.

    Attributes:
        source: the bytes that run, and their hash.
        runtime: the opened engine.
        card: the model's card.
        notes: providers that `auto` passed over, with their reasons.
    """

    source: ModelSource
    runtime: Runtime
    card: Card
    notes: tuple[str, ...] = ()


def open_model(config: PredictionConfig) -> OpenedModel:
    """Probe and open a model; what is hashed is what runs.

    Raises:
        UsageError: the provider is unknown.
        ModelError: the file cannot be used.
        ProviderError: the provider asked for is not active and no fallback was allowed.
    """
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


def _open(source: ModelSource, config: PredictionConfig, *, provider: str, notes: tuple[str, ...] = ()) -> OpenedModel:
    allow_fallback = config.allow_fallback and config.provider != AUTO
    settings = RuntimeSettings(provider=provider, threads=config.threads, allow_fallback=allow_fallback)
    ensure_probed(source, settings)
    runtime = open_runtime(source, settings)
    try:
        card = require_contract(runtime.info, name=str(source.path))
    except BaseException:
        runtime.close()
        raise
    return OpenedModel(source=source, runtime=runtime, card=card, notes=notes)
