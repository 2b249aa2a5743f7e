"""The matrix: every engine with every setting, each in its own process, judged against one reference."""

from __future__ import annotations

__all__ = ["ERROR_RATIO_LIMIT", "judge_matrix", "require_providers", "run_parity"]

import contextlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from toolkit.card import Card
from toolkit.data.dataset import Dataset
from toolkit.errors import ModelError, ResourceError, ToolkitError, UsageError, WorkerError
from toolkit.parity.config import ParityConfig
from toolkit.parity.image_trials import image_trials
from toolkit.parity.recording import Recording, record_reference
from toolkit.parity.reference import Reference
from toolkit.parity.report import ParityReport, ParityRow
from toolkit.parity.trial import Outcome, run_trials
from toolkit.parity.variants import ParityVariant, expand_variants
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings
from toolkit.runtimes.contract import require_contract
from toolkit.runtimes.first_run import run_first
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
    card = require_providers(source, config)
    recording = record_reference(source, data, config, card=card, environment={})
    return judge_matrix(source, recording, config, card=card, progress=progress)


def judge_matrix(
    source: ModelSource, recording: Recording, config: ParityConfig, *, card: Card, progress: Progress | None = None
) -> ParityReport:
    """Compare every engine of the matrix with a reference that is known already; as `run_parity`.

    Args:
        source: the model, with its run where there is one.
        recording: of this very file.
        config: the axes.
        card: what `require_providers` returned.
        progress: called with the rows done and their number.
    """
    variants = expand_variants(config, has_run=source.run is not None)
    reference = recording.reference
    rows = []
    for variant in variants:
        rows.append(_judge_variant(source, variant, reference, config, precision=card.precision))
        if progress is not None:
            progress(len(rows), len(variants))
    baseline, error = _baseline(rows)
    return ParityReport(
        reference=reference.kind,
        bound=reference.suites[0].bound,
        baseline=baseline,
        rows=tuple(_with_ratio(row, error) for row in rows),
        model={"path": str(source.path), "sha256": source.sha256},
        data=recording.data,
    )


def require_providers(source: ModelSource, config: ParityConfig) -> Card:
    """Open and run the file on everything that was asked for by name, before anything is measured; return its card.

    Raises:
        ProviderError: a provider is not active.
        ResourceError: a runtime is not installed.
        ModelError: the file is refused or is not one of ours.
    """
    with WorkerRuntime(source, RuntimeSettings(), timeout_s=config.timeout_s) as worker:
        card = require_contract(worker.info, name=source.path.name)
    images = np.zeros((1, *card.input.shape), np.uint8)
    opened = set()
    for variant in expand_variants(config, has_run=source.run is not None):
        settings = replace(variant.settings, threads=0, optimisation="all")
        has_no_run = find_entry(settings.runtime).needs_run and source.run is None
        if variant.may_skip or has_no_run or settings in opened or settings == RuntimeSettings():
            continue
        opened.add(settings)
        with (
            contextlib.suppress(WorkerError, ModelError),  # a crash or a wrong answer is a row of the matrix
            WorkerRuntime(source, settings, timeout_s=config.timeout_s) as worker,
        ):
            run_first(worker, {"images": images})
    return card


def _judge_variant(
    source: ModelSource, variant: ParityVariant, reference: Reference, config: ParityConfig, *, precision: str
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
            return _summarise(row, run_trials(worker, image_trials(worker, reference, config)))
    except UsageError:
        raise
    except WorkerError as error:
        return replace(row, reason=str(error), log=error.log)
    except ResourceError as error:
        return replace(row, status="skip" if variant.may_skip else "fail", reason=str(error))
    except ToolkitError as error:
        return replace(row, reason=str(error))


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
    return float("inf") if error is None else error / item.judgement.bound


def _baseline(rows: list[ParityRow]) -> tuple[str, float | None]:
    """Return whose error ratios are against: PyTorch float32's own, else unoptimised ONNX Runtime's."""
    candidates = [("torch float32", row) for row in rows if row.runtime == "torch"]
    candidates += [
        ("ort float32, unoptimised", row) for row in rows if row.runtime == "ort" and row.optimisation == "none"
    ]
    for name, row in candidates:
        error = row.suites.get("test", {}).get("max_abs_logit_error")
        if row.status == "pass" and row.provider == "cpu" and error:
            return name, error
    return "none", None


def _with_ratio(row: ParityRow, baseline: float | None) -> ParityRow:
    error = row.suites.get("test", {}).get("max_abs_logit_error")
    if baseline is None or error is None:
        return row
    ratio = error / baseline
    if ratio <= ERROR_RATIO_LIMIT:
        return replace(row, error_ratio=ratio)
    reason = f"the error is {ratio:.3g} times the baseline's; the limit is {ERROR_RATIO_LIMIT:g}"
    return replace(row, error_ratio=ratio, status="fail", reason="; ".join(filter(None, (row.reason, reason))))
