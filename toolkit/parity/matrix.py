"""The matrix: every engine with every setting, each in its own process, judged against one reference."""

from __future__ import annotations

__all__ = ["ERROR_RATIO_LIMIT", "judge_matrix", "run_parity"]

from collections.abc import Callable, Iterable
from dataclasses import replace

from toolkit.data.dataset import Dataset
from toolkit.errors import ModelError, ResourceError, ToolkitError, UsageError, WorkerError
from toolkit.parity.config import ParityConfig
from toolkit.parity.feed_reference import FeedsReference
from toolkit.parity.image_trials import image_trials
from toolkit.parity.judge_feeds import feed_trials
from toolkit.parity.recording import Recording, record_reference
from toolkit.parity.reference import Reference
from toolkit.parity.report import ParityReport, ParityRow
from toolkit.parity.subject import require_providers
from toolkit.parity.trial import Engine, Outcome, Trial, run_trials
from toolkit.parity.variants import ParityVariant, expand_variants
from toolkit.runtimes.base import RuntimeInfo
from toolkit.runtimes.process import WorkerRuntime
from toolkit.runtimes.registry import find_entry
from toolkit.runtimes.source import ModelSource

# An error this many times the baseline's own would be another computation, not another order of additions; the same
# factor that a stranger's file is given.
ERROR_RATIO_LIMIT = 16.0

Progress = Callable[[int, int | None], None]


def run_parity(
    source: ModelSource, data: Dataset, config: ParityConfig, *, progress: Progress | None = None
) -> ParityReport:
    """Compare every engine of the matrix with the float64 reference on a data set's test images.

    Args:
        source: the model, with its run where there is one.
        data: the test images are used.
        config: the axes.
        progress: called with the rows done and their number.

    Raises:
        ProviderError: a provider asked for by name is not active; nothing was measured.
        UsageError: an unknown runtime or provider.
        ModelError: no engine can open the file, or the reference cannot be computed.
    """
    subject = require_providers(source, config)
    if subject.card is None:
        raise ModelError(f"{source.path.name} carries no card, so images of a data set are nothing to it")
    recording = record_reference(source, data, config, card=subject.card, environment={})
    return judge_matrix(source, recording, config, precision=subject.precision, progress=progress)


def judge_matrix(
    source: ModelSource, recording: Recording, config: ParityConfig, *, precision: str, progress: Progress | None = None
) -> ParityReport:
    """Compare every engine of the matrix with a reference that is known already; as `run_parity`.

    Args:
        source: the model, with its run where there is one.
        recording: of this very file.
        config: the axes.
        precision: arithmetic of the file.
        progress: called with the rows done and their number.
    """
    variants = expand_variants(config, has_run=source.run is not None)
    reference = recording.reference
    rows = []
    for variant in variants:
        rows.append(_judge_variant(source, variant, reference, config, precision=precision))
        if progress is not None:
            progress(len(rows), len(variants))
    baseline, error = _baseline(rows)
    is_stranger = isinstance(reference, FeedsReference)
    return ParityReport(
        reference=reference.kind,
        bound=reference.suites[0].bound,
        bound_rule=reference.rule,
        baseline=baseline,
        # A stranger's bound is a multiple of the baseline's error already.
        rows=tuple(_with_ratio(row, error, limit=float("inf") if is_stranger else ERROR_RATIO_LIMIT) for row in rows),
        model={"path": str(source.path), "sha256": source.sha256},
        data=recording.data,
    )


def _judge_variant(
    source: ModelSource,
    variant: ParityVariant,
    reference: Reference | FeedsReference,
    config: ParityConfig,
    *,
    precision: str,
) -> ParityRow:
    settings = variant.settings
    row = ParityRow(
        runtime=settings.runtime,
        provider=settings.provider,
        precision=precision,
        threads=settings.threads,
        optimisation=settings.optimisation if settings.runtime == "ort" else None,
        status="fail",
    )
    if find_entry(settings.runtime).needs_run and source.run is None:
        return replace(row, status="skip", reason="no run: this runtime executes the run's own network")
    if find_entry(settings.runtime).needs_run and precision != settings.precision:
        reason = f"this runtime executes the run's own {settings.precision} network, not this {precision} file"
        return replace(row, status="skip", reason=reason)
    try:
        with WorkerRuntime(source, settings, timeout_s=config.timeout_s) as worker:
            row = _describe(row, worker.info)
            return _summarise(row, run_trials(worker, _trials(worker, reference, config)))
    except UsageError:
        raise
    except WorkerError as error:
        return replace(row, reason=str(error), log=error.log)
    except ResourceError as error:
        return replace(row, status="skip" if variant.may_skip else "fail", reason=str(error))
    except ToolkitError as error:
        return replace(row, reason=str(error))


def _trials(engine: Engine, reference: Reference | FeedsReference, config: ParityConfig) -> Iterable[Trial]:
    if isinstance(reference, FeedsReference):
        return feed_trials(reference)
    return image_trials(engine, reference, config)


def _describe(row: ParityRow, info: RuntimeInfo) -> ParityRow:
    reason = f"asked for {row.provider}; {info.details.get('fallback_reason', '')}" if info.fallback else None
    return replace(
        row,
        version=info.version,
        provider=info.provider_active,
        fallback=info.fallback,
        native_batch=info.native_batch,
        reason=reason,
    )


def _summarise(row: ParityRow, outcomes: list[Outcome]) -> ParityRow:
    nearest = max(outcomes, key=_share_of_bound)
    failures = [
        f"{item.trial.suite} at batch {item.trial.batch}: {text}"
        for item in outcomes
        for text in item.judgement.failures
    ]
    full: dict[str, Outcome] = {}
    for item in outcomes:
        full.setdefault(item.trial.suite, item)  # the main batch size comes first
    first = outcomes[0].trial
    judged = len(first.expected)
    sampled = None
    if judged < first.available:
        sampled = f"slow: {judged:,} of {first.available:,} {first.suite} images, evenly spaced"
    consistent = [item.judgement.label_consistent for item in outcomes]
    return replace(
        row,
        batch_sizes=tuple(dict.fromkeys(item.trial.batch for item in outcomes)),
        images=sum(len(item.trial.expected) for item in full.values()),
        max_abs_logit_error=nearest.judgement.max_abs_logit_error,
        bound=nearest.judgement.bound,
        label_consistent=None if None in consistent else all(consistent),
        flips=sum(item.judgement.flips for item in full.values()),
        flips_excused=sum(item.judgement.flips_excused for item in full.values()),
        suites={name: _suite_json(item) for name, item in full.items()},
        status="fail" if failures else "pass",
        reason="; ".join(filter(None, (row.reason, sampled, *failures))) or None,
    )


def _suite_json(item: Outcome) -> dict[str, object]:
    judgement = item.judgement
    return {
        "images": len(item.trial.expected),
        "max_abs_logit_error": judgement.max_abs_logit_error,
        "bound": judgement.bound,
        "flips": judgement.flips,
        "worst_index": judgement.worst_index,
    }


def _share_of_bound(item: Outcome) -> float:
    error = item.judgement.max_abs_logit_error
    if not error:
        return float("inf") if error is None else 0.0
    return error / item.judgement.bound


def _baseline(rows: list[ParityRow]) -> tuple[str, float | None]:
    """Return whose error ratios are against: PyTorch float32's own, else unoptimised ONNX Runtime's."""
    candidates = [("torch float32", row) for row in rows if row.runtime == "torch"]
    candidates += [
        ("ort float32, unoptimised", row) for row in rows if row.runtime == "ort" and row.optimisation == "none"
    ]
    for name, row in candidates:
        error = _first_error(row)
        if row.status == "pass" and row.provider == "cpu" and error:
            return name, error
    return "none", None


def _first_error(row: ParityRow) -> float | None:
    """Return the error on the test images, or on the first call of a stranger's file."""
    error: float | None = next(iter(row.suites.values()), {}).get("max_abs_logit_error")
    return error


def _with_ratio(row: ParityRow, baseline: float | None, *, limit: float) -> ParityRow:
    error = _first_error(row)
    if baseline is None or error is None:
        return row
    ratio = error / baseline
    if ratio <= limit:
        return replace(row, error_ratio=ratio)
    reason = f"the error is {ratio:.3g} times the baseline's; the limit is {limit:g}"
    return replace(row, error_ratio=ratio, status="fail", reason="; ".join(filter(None, (row.reason, reason))))
