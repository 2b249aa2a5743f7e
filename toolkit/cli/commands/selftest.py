"""`toolkit selftest`."""

from __future__ import annotations

__all__ = ["selftest_command"]

from typing import Annotated

from toolkit.api.failures import offer_external_data
from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import resolve_model
from toolkit.cli.options import (
    BUDGET,
    AllowExternalData,
    AllowFallback,
    InputsPath,
    Json,
    ModelPath,
    Provider,
    Shapes,
    Values,
    option,
)
from toolkit.cli.output import Output


@offer_external_data()
def selftest_command(
    model: ModelPath = None,
    provider: Provider = "cpu",
    *,
    inputs: InputsPath = None,
    shape: Shapes = None,
    value: Values = None,
    budget: Annotated[float | None, option(BUDGET, default="so many calls as take 1.5e9 multiply-adds")] = None,
    allow_fallback: AllowFallback = False,
    allow_external_data: AllowExternalData = False,
    as_json: Json = False,
) -> None:
    """Replay the golden vectors of a model's card. Needs neither torch nor data.

    A file without a card is run on inputs made from what it declares and compared with itself in float64.
    """
    from toolkit.api.feeds import read_feeds
    from toolkit.cli.actions.selftest import selftest_and_report
    from toolkit.onnx_file.external_data import read_model
    from toolkit.runtimes.base import RuntimeSettings

    path = resolve_model(model, store=ArtifactStore.default())
    selftest_and_report(
        read_model(path, allow_external_data=allow_external_data),
        RuntimeSettings(provider=provider, allow_fallback=allow_fallback),
        feeds=read_feeds(inputs, shape, values=value),
        budget_s=budget,
        output=Output(as_json=as_json),
    )
