"""The matrix: every runtime on every provider with every setting is a row, judged in a process of its own.

All rows are held against one reference.
"""

from __future__ import annotations

__all__ = ["ERROR_RATIO_LIMIT", "Arithmetics", "judge_matrix"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from toolkit.errors import ModelError, ResourceError, ToolkitError, UsageError, WorkerError, WrongAnswerError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import WHOLE_BATCH, ParityConfig
from toolkit.parity.recording import Recording
from toolkit.parity.references.feeds import FeedsReference
from toolkit.parity.references.images import Reference, bound_suites
from toolkit.parity.report import ParityReport, ParityRow
from toolkit.parity.rows import describe_row, find_baseline, settle_row, summarise_row, with_ratio
from toolkit.parity.trial import Trial, image_trials, make_trial, run_trials
from toolkit.parity.variants import ParityVariant, expand_matrix
from toolkit.plain import to_plain
from toolkit.progress import ShowProgress, ShowWork, show_nothing, tell_nobody
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.providers import REMOTE
from toolkit.runtimes.references.rounding import UNIT_ROUNDOFF
from toolkit.runtimes.registry import find_runtime
from toolkit.runtimes.workers.client import OpenedWorker, Opener, open_worker
from toolkit.runtimes.workers.early import EarlyOpener
from toolkit.runtimes.workers.time_limits import JUDGE_S

# An error this many times the baseline's own would be another computation, not another order of additions; the same
# factor that a stranger's file is given.
ERROR_RATIO_LIMIT = 16.0


@dataclass(slots=True, kw_only=True)
class Arithmetics:
    """One reference under the bounds of every arithmetic that rows ask for; each is computed once.

    Attributes:
        source: the model.
        precision: arithmetic of the file.
        reference: with the bounds of that.
        opener: opens the file, for bounds and for rows.
    """

    source: ModelSource
    precision: str
    reference: Reference | FeedsReference
    opener: Opener
    _known: dict[str, Reference] = field(default_factory=dict)

    def explain_absence(self, settings: RuntimeSettings) -> str | None:
        """Return why there is no bound for an arithmetic, None where there is one."""
        if settings.arithmetic == "fp32":
            return None
        if isinstance(self.reference, FeedsReference):
            return f"no formula gives a bound for {settings.arithmetic} in a file without a card"
        if self.precision != "fp32":
            return f"{settings.arithmetic} is for float32 files; this one is {self.precision}"
        return None

    def reference_for(self, settings: RuntimeSettings) -> Reference | FeedsReference:
        """Return the reference with the bounds that an engine of these settings is judged by.

        Raises:
            ModelError: the file's graph cannot be evaluated.
            WorkerError: the reference process died.
        """
        if settings.arithmetic == "fp32" or isinstance(self.reference, FeedsReference):
            return self.reference
        if settings.arithmetic not in self._known:
            images = (entry.images for entry in self.reference.suites)
            bounds = bound_suites(self.source, images, settings=settings, opener=self.opener)
            suites = zip(self.reference.suites, bounds, strict=True)
            # The same answers and images: only what rounding explains depends on the arithmetic.
            widened = replace(self.reference, suites=tuple(replace(entry, bound=bound) for entry, bound in suites))
            self._known[settings.arithmetic] = widened
        return self._known[settings.arithmetic]

    def scale_baseline(self, error: float | None, precision: str) -> float | None:
        """Return what a baseline's error comes to in another arithmetic than the file's: it grows with the roundoff."""
        if error is None or precision == self.precision:
            return error
        return error * UNIT_ROUNDOFF[precision] / UNIT_ROUNDOFF[self.precision]


def judge_matrix(
    source: ModelSource,
    recording: Recording,
    *,
    config: ParityConfig,
    precision: str,
    opener: Opener = open_worker,
    progress: ShowProgress = tell_nobody,
    show: ShowWork = show_nothing,
) -> ParityReport:
    """Compare every engine of the matrix with a reference that is known already.

    Args:
        source: the model, with its run where there is one.
        recording: of this very file.
        config: the axes.
        precision: arithmetic of the file.
        opener: opens the file in every engine.
        progress: called with the rows done and their number.
        show: told which engine is judged, and how much it has answered.

    Raises:
        KeyboardInterrupt: no row is finished; those that are make a report of their own.
    """
    reference, variants = recording.reference, expand_matrix(config, has_run=source.run is not None)
    arithmetics = Arithmetics(source=source, precision=precision, reference=reference, opener=opener)
    rows: list[ParityRow] = []
    try:
        arithmetics = _judge_rows(rows, variants, arithmetics=arithmetics, config=config, progress=progress, show=show)
    except KeyboardInterrupt:
        # What is wrong by a stranger's first bounds waits for the second look.
        rows = [row for row in rows if isinstance(reference, Reference) or not _is_wrong(row)]
        if not rows:
            raise
    strange = arithmetics.reference if isinstance(arithmetics.reference, FeedsReference) else None
    baseline, error = find_baseline(rows)
    limit = float("inf") if strange else ERROR_RATIO_LIMIT  # a stranger's bound is a multiple of the baseline's error
    return ParityReport(
        reference=reference.kind,
        bound=arithmetics.reference.suites[0].bound,
        bound_rule=arithmetics.reference.rule,
        baseline=baseline,
        rows=tuple(with_ratio(row, arithmetics.scale_baseline(error, row.precision), limit=limit) for row in rows),
        model={"path": str(source.path), "sha256": source.sha256},
        data=recording.data,
        reference_witnesses=to_plain(strange.witnesses) if strange else None,
        remarks=strange.remarks if strange else (),
        left_out=strange.left_out if strange else (),
        is_interrupted=len(rows) < len(variants),
    )


def _judge_rows(
    rows: list[ParityRow],
    variants: Sequence[ParityVariant],
    *,
    arithmetics: Arithmetics,
    config: ParityConfig,
    progress: ShowProgress,
    show: ShowWork,
) -> Arithmetics:
    """Add a row for each variant; return the bounds that they were judged by in the end."""
    reference = arithmetics.reference
    unit = "items" if isinstance(reference, FeedsReference) else "images"
    with EarlyOpener(arithmetics.opener) as opener:
        early = replace(arithmetics, opener=opener)
        for variant, following in zip(variants, (*variants[1:], None), strict=True):
            progress(len(rows), len(variants))
            begin = partial(_begin_to_open, following, arithmetics=early, opener=opener)
            with show(f"{variant.settings.runtime} on {variant.settings.provider}", unit=unit) as tell:
                rows.append(_judge_variant(variant, arithmetics=early, config=config, tell=tell, on_rated=begin))
    if isinstance(reference, FeedsReference) and any(map(_is_wrong, rows)):
        return _judge_again(reference, rows, variants=variants, arithmetics=arithmetics, config=config)
    return arithmetics


def _judge_again(
    reference: FeedsReference,
    rows: list[ParityRow],
    *,
    variants: Sequence[ParityVariant],
    arithmetics: Arithmetics,
    config: ParityConfig,
) -> Arithmetics:
    """Judge the rows that are wrong by wider bounds, where the file itself moves as far; return those bounds."""
    from toolkit.parity.references.second_look import look_again

    source = arithmetics.source
    looked = look_again(source, reference, precision=arithmetics.precision, opener=arithmetics.opener)
    wider = replace(arithmetics, reference=looked)
    for number, row in enumerate(rows):
        if _is_wrong(row) and looked is not reference:
            rows[number] = _judge_variant(variants[number], arithmetics=wider, config=config)
    return wider


def _is_wrong(row: ParityRow) -> bool:
    return row.status == "fail" and bool(row.suites)


def _begin_to_open(variant: ParityVariant | None, *, arithmetics: Arithmetics, opener: EarlyOpener) -> None:
    """Begin to open the next engine, where it computes on the CPU: two on a device would share its memory."""
    if variant is None or variant.settings.provider != "cpu":
        return
    if _explain_skip(arithmetics.source, variant.settings, precision=arithmetics.precision) is None:
        opener.begin(arithmetics.source, variant.settings, timeout_s=JUDGE_S)


def _judge_variant(
    variant: ParityVariant,
    *,
    arithmetics: Arithmetics,
    config: ParityConfig,
    tell: ShowProgress = tell_nobody,
    on_rated: Callable[[], None] = lambda: None,
) -> ParityRow:
    """Return the row of an engine.

    Args:
        variant: the engine.
        arithmetics: bounds, and what opens it.
        config: the axes.
        tell: called with what it has answered.
        on_rated: called once how fast it is is known: what else the machine does counts no more.
    """
    settings, source, precision = variant.settings, arithmetics.source, arithmetics.precision
    row = ParityRow(
        runtime=settings.runtime,
        provider=settings.provider,
        precision=precision if settings.arithmetic == "fp32" else settings.arithmetic,
        threads=settings.threads,
        runs_at_once=settings.runs_at_once,
        optimisation=settings.optimisation if settings.runtime == "ort" else None,
        status="fail",
        was_named=variant.was_named,
    )
    why_not = _explain_skip(source, settings, precision=precision) or arithmetics.explain_absence(settings)
    if why_not is not None:
        return replace(row, status="skip", reason=why_not)
    try:
        reference = arithmetics.reference_for(settings)
        with arithmetics.opener(source, settings, timeout_s=JUDGE_S) as worker:
            row = describe_row(row, worker.info)
            trials = _trials(worker, reference, config=config)
            on_rated()
            outcomes = run_trials(worker, trials, progress=tell)
            row = summarise_row(row, outcomes, settings=settings)
            row = replace(row, notes=worker.notes)
        return settle_row(row, reference) if isinstance(reference, FeedsReference) else row
    except UsageError:
        raise
    except WorkerError as error:
        return replace(row, reason=str(error), log=error.log)
    except ResourceError as error:
        return replace(row, status="skip" if variant.may_skip else "fail", reason=str(error))
    except ToolkitError as error:
        is_refusal = isinstance(error, ModelError) and not isinstance(error, WrongAnswerError)
        return replace(row, status="refused" if is_refusal else "fail", reason=str(error), log=error.log or None)


def _explain_skip(source: ModelSource, settings: RuntimeSettings, *, precision: str) -> str | None:
    if not find_runtime(settings.runtime).needs_run:
        return None
    if source.run is None:
        return "no run: this runtime executes the run's own network"
    if precision != settings.precision:
        return f"this runtime executes the run's own {settings.precision} network, not this {precision} file"
    return None


def _trials(engine: OpenedWorker, reference: Reference | FeedsReference, *, config: ParityConfig) -> list[Trial]:
    if isinstance(reference, FeedsReference):
        return [make_trial(suite) for suite in reference.suites]
    if engine.info.provider_active == REMOTE:
        # A server's largest batch is its own; what a test set is asked in has to be in it.
        config = replace(config, small_batches=tuple(size for size in config.small_batches if size <= WHOLE_BATCH))
    return image_trials(engine, reference, config=config)
