"""`toolkit selftest`: a file held against its own card, or against itself in float64."""

from __future__ import annotations

__all__ = ["selftest_command"]

from typing import TYPE_CHECKING, Annotated

from toolkit.api.failures import offer_external_data
from toolkit.artifacts import ArtifactStore
from toolkit.card import CARD_KEY
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
from toolkit.cli.output import Output, note
from toolkit.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from toolkit.evaluation.selftest import SelftestReport
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.feed_config import FeedConfig

# What a stranger's answers are held against, in words.
REFERENCES = {
    "onnx-float64": "its own float64",
    "pytorch-float64": "the module that it was exported from",
    "ort-unoptimised": "unoptimised ONNX Runtime",
    "undecided": "witnesses that part",
}


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
    from toolkit.onnx_file.external_data import read_model
    from toolkit.runtimes.base import RuntimeSettings

    path = resolve_model(model, store=ArtifactStore.default())
    _selftest_and_report(
        read_model(path, allow_external_data=allow_external_data),
        RuntimeSettings(provider=provider, allow_fallback=allow_fallback),
        feeds=read_feeds(inputs, shape, values=value),
        budget_s=budget,
        output=Output(as_json=as_json),
    )


def _selftest_and_report(
    source: ModelSource, settings: RuntimeSettings, *, feeds: FeedConfig, budget_s: float | None, output: Output
) -> None:
    """Test a file and show what that told.

    Args:
        source: the file.
        settings: how it is run.
        feeds: where a stranger's inputs come from.
        budget_s: seconds for a stranger's reference; None for the work of a short one.
        output: where it is shown.

    Raises:
        CheckFailedError: it failed, or is undecided.
        UsageError: words that mean nothing for this file.
    """
    # Searched, not parsed, which is a worker's business; a stranger that holds the words is told that it has no card.
    if CARD_KEY.encode() in source.model:
        if feeds.says_anything or budget_s is not None:
            words = f"{source.path.name} carries a card with its own images"
            raise UsageError(f"{words}; leave out --inputs, --shape, --value and --budget")
        with output.progress("replaying the golden vectors"):
            report, what = _replay_golden(source, settings), "golden vectors"
    else:
        report = _judge_stranger(source, settings, feeds=feeds, budget_s=budget_s, output=output)
        what = f"calls (no card: against {REFERENCES[report.reference]})"
    error = "none finite" if report.max_abs_logit_error is None else f"{report.max_abs_logit_error:.2g}"
    fallback = f" (fallback, {settings.provider} was asked for)" if report.fallback else ""
    output.report(
        {**report.to_json(), "model": {"path": str(source.path), "sha256": source.sha256}},
        f"{report.verdict.upper()} {report.vectors} {what} on {report.provider}{fallback}: largest error {error}, "
        f"tolerance {report.tolerance:.2g}",
        *report.notes,
    )
    if not report.passed:
        ending = "is undecided" if report.verdict == "undecided" else "failed"
        raise CheckFailedError(f"self-test of {source.path} {ending}: {'; '.join(report.failures)}")


def _replay_golden(source: ModelSource, settings: RuntimeSettings) -> SelftestReport:
    from toolkit.evaluation.selftest import run_selftest
    from toolkit.prediction.open_model import open_engine
    from toolkit.runtimes.contract import require_contract
    from toolkit.runtimes.workers.probe import ensure_probed

    ensure_probed(source, settings)
    with open_engine(source, settings) as runtime:
        return run_selftest(runtime, require_contract(runtime.info, name=str(source.path)))


def _judge_stranger(
    source: ModelSource, settings: RuntimeSettings, *, feeds: FeedConfig, budget_s: float | None, output: Output
) -> SelftestReport:
    from toolkit.evaluation.selftest import SelftestReport
    from toolkit.parity.check import record_feeds
    from toolkit.parity.config import SHORT_MULTIPLY_ADDS, Budget, ParityConfig
    from toolkit.parity.matrix import judge_matrix
    from toolkit.parity.recording import find_recording
    from toolkit.parity.subject import require_providers
    from toolkit.render.parity import describe_reference
    from toolkit.runtimes.feed_config import FeedConfig
    from toolkit.runtimes.registry import WILDCARDS

    if settings.provider in WILDCARDS:
        raise UsageError(f"a self-test of a file without a card runs on one provider, not {settings.provider}; name it")
    config = ParityConfig(
        runtimes=("ort",),
        providers=(settings.provider,),
        threads=(0,),
        optimisations=("all",),
        allow_fallback=settings.allow_fallback,
    )
    asked = None if budget_s is None else Budget(seconds=budget_s)
    recording = None if feeds.says_anything or asked else find_recording(source, note)
    feeds = feeds if recording is None else FeedConfig(given=recording.first_feeds)
    with output.progress("opening the model"):
        subject = require_providers(source, config, feeds=feeds)
    if subject.plan is not None and (words := subject.plan.describe()):
        note(words)
    budget = asked or Budget(multiply_adds=SHORT_MULTIPLY_ADDS)
    if recording is None:
        with output.progress("computing the reference", unit="calls") as bar:
            recording = record_feeds(source, subject, feeds=feeds, budget=budget, progress=bar, say=note)
    with output.progress("judging", unit="rows") as bar:
        report = judge_matrix(source, recording, config=config, precision=subject.precision, progress=bar)
    (row,) = report.rows
    return SelftestReport(
        vectors=len(recording.reference.suites),
        max_abs_logit_error=row.max_abs_logit_error,
        tolerance=row.bound or 0.0,
        failures=() if row.status == "pass" else (row.reason or "no reason was given",),
        provider=row.provider,
        fallback=row.fallback,
        inputs={} if subject.plan is None else subject.plan.to_json(),
        verdict=row.status,
        reference=report.reference,
        reference_witnesses=report.reference_witnesses,
        notes=(*describe_reference(report), *(f"note: {words}" for words in row.notes)),
    )
