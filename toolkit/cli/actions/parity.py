"""A parity check from a model's path to its report; one place for every command that runs one."""

from __future__ import annotations

__all__ = ["require_passed", "run_and_report"]

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.parity_worst import worst_folder, write_worst
from toolkit.cli.context import announce_model, load_recorded_data
from toolkit.cli.output import Output, note, repeat_command
from toolkit.cli.parity_options import read_budget, read_feed_config
from toolkit.durable import write_json
from toolkit.errors import CheckFailedError, UsageError
from toolkit.runtimes.feed_config import FeedConfig

# Of a failure in the one line that ends the command; the report has the rest.
MOST_WORDS = 400

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.cli.actions.parity_request import ParityRequest
    from toolkit.data import Dataset
    from toolkit.onnx_file.source import ModelSource
    from toolkit.parity.config import ParityConfig
    from toolkit.parity.recording import Recording
    from toolkit.parity.report import ParityReport
    from toolkit.parity.subject import Subject


def run_and_report(
    path: Path, config: ParityConfig, request: ParityRequest, *, output: Output
) -> tuple[ParityReport, Path]:
    """Run the matrix, write its report and show it.

    Args:
        path: the model.
        config: the axes of the matrix.
        request: the files of the check, and what its report is to hold.
        output: where it is shown.
    """
    from toolkit.environment import describe_environment
    from toolkit.onnx_file.external_data import read_model
    from toolkit.parity.matrix import judge_matrix
    from toolkit.parity.recording import read_recording, write_recording
    from toolkit.parity.subject import require_providers
    from toolkit.render.parity import describe_causes, describe_matrix, describe_reference

    store, feeds = ArtifactStore.default(), read_feed_config(request.inputs, request.shape, request.value)
    source = read_model(path, allow_external_data=request.allow_external_data)
    recording = None if request.against is None else read_recording(request.against, source)
    subject = require_providers(source, config, feeds=feeds if recording is None else _recorded_feeds(recording))
    has_words = feeds.says_anything or read_budget(request.budget) is not None  # refused here; it begins further down
    _check_words(subject, request, name=path.name, says_anything=has_words)
    announce_model(path, store=store)  # after the refusals, which are one line
    source, environment = _with_run(source, subject, run=request.run, store=store), describe_environment()
    if recording is None:
        recording = _record(source, config, subject, request, feeds=feeds, output=output)
        recording = replace(recording, environment=environment)
    if request.record is not None:
        write_recording(request.record, recording)
        note(f"recording {request.record}")
    with output.progress("parity", unit="rows") as bar:
        report = judge_matrix(source, recording, config, precision=subject.precision, progress=bar)
    if request.against is not None:
        report = replace(report, recorded_on=recording.environment)
    target = request.output_path or store.new_file("reports", f"parity-{path.stem}", ".json")
    report = _explain(report, source, bisect=request.bisect)
    report = write_worst(report, recording, source, worst_folder(target))
    value = report.to_json(command=repeat_command(), environment=environment)
    write_json(target, value)
    output.report(
        value, *describe_matrix(report), *describe_reference(report), *describe_causes(report), f"report {target}"
    )
    return report, target


def _recorded_feeds(recording: Recording) -> FeedConfig:
    """Return the first call of a stranger's recording: inputs that were given there cannot be made here."""
    from toolkit.parity.references.feeds import FeedsReference

    reference = recording.reference
    return FeedConfig(given=reference.suites[0].feeds if isinstance(reference, FeedsReference) else None)


def _explain(report: ParityReport, source: ModelSource, *, bisect: bool) -> ParityReport:
    from toolkit.cli.actions.parity_bisect import bisect_report
    from toolkit.parity.diagnosis.triage import triage_report

    if any(row.status == "refused" or (row.status == "fail" and row.worst is not None) for row in report.rows):
        note("looking for the cause")
        report = triage_report(report, source)
    if bisect and not report.passed:
        report = bisect_report(report, source)
    return report


def require_passed(report: ParityReport) -> None:
    """End with the first failure in one line.

    Raises:
        CheckFailedError: a row failed or is open, or none was judged.
    """
    if report.passed:
        return
    open_rows = [row for row in report.rows if row.status == "undecided"]
    told = report.failed or open_rows or [row for row in report.rows if row.status == "refused"]
    if not told:
        row = report.rows[0]
        raise CheckFailedError(f"parity judged none of {len(report.rows)} rows; {row.runtime}: {row.reason}")
    first = f"{told[0].runtime} on {told[0].provider}: {told[0].reason}"
    first = first if len(first) <= MOST_WORDS else f"{first[:MOST_WORDS]} ..."
    if report.verdict == "undecided":
        raise CheckFailedError(f"parity is undecided in {len(open_rows)} of {len(report.rows)} rows; {first}")
    raise CheckFailedError(f"parity failed in {len(report.failed)} of {len(report.rows)} rows; {first}")


def _check_words(subject: Subject, request: ParityRequest, *, name: str, says_anything: bool) -> None:
    """Refuse options that mean nothing for this kind of file."""
    if subject.card is not None and says_anything:
        words = f"{name} carries a card and is judged on images"
        raise UsageError(f"{words}; leave out --inputs, --shape, --value and --budget")
    if subject.card is None and (request.data, request.sample, request.run) != (None, None, None):
        raise UsageError(f"{name} carries no card, so --data, --sample and --run mean nothing to it; see --inputs")


def _with_run(source: ModelSource, subject: Subject, *, run: Path | None, store: ArtifactStore) -> ModelSource:
    from toolkit.runs.origin import find_origin
    from toolkit.runs.run import find_run

    if subject.card is None:
        return source
    origin = find_origin(subject.card.checkpoint_sha256, store=store) if run is None else find_run(run, store=store)
    return replace(source, run=origin)


def _record(
    source: ModelSource,
    config: ParityConfig,
    subject: Subject,
    request: ParityRequest,
    *,
    feeds: FeedConfig,
    output: Output,
) -> Recording:
    from toolkit.parity.recording import record_feeds, record_reference

    if subject.card is None:
        note(f"{source.path.name} carries no card: it is judged as a stranger's")
        if subject.plan is not None and (words := subject.plan.describe()):
            note(words)
        budget = read_budget(request.budget)
        with output.progress("reference", unit="calls") as bar:
            return record_feeds(source, subject, feeds, budget=budget, progress=bar, say=note)
    if source.run is None:
        note("the run that this model came from is not here: the reference is the file's own weights in float64")
    dataset = _load_images(source, subject.card, data=request.data, output=output)
    return record_reference(source, dataset, config, card=subject.card)


def _load_images(source: ModelSource, card: Card, *, data: str | None, output: Output) -> Dataset:
    from toolkit.evaluation.evaluate import require_same_data
    from toolkit.runs.run import read_run

    # A card must not tell where a user's own data lie; the run does.
    recorded: dict[str, Any] = card.data if source.run is None else read_run(source.run).data
    dataset = load_recorded_data(data, recorded, output=output, size=(card.input.height, card.input.width))
    if data is None:
        require_same_data(dataset, card.data, owner=source.path.name)
    return dataset
