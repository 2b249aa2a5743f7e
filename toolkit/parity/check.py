"""A parity check from a model's bytes to the report: opened, recorded or read back, judged, explained."""

from __future__ import annotations

__all__ = ["ParityListener", "ParityOptions", "check_parity", "record_feeds", "record_reference"]

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.artifacts import ArtifactStore, recording_beside
from toolkit.card import Card
from toolkit.data.dataset import Dataset
from toolkit.environment import describe_environment
from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import Budget, ParityConfig
from toolkit.parity.matrix import judge_matrix
from toolkit.parity.recording import Recording, find_recording, hash_calls, read_recording, write_recording
from toolkit.parity.references.images import compute_reference, make_suites
from toolkit.parity.report import ParityReport
from toolkit.parity.subject import Subject, require_providers
from toolkit.progress import OnNote, ShowProgress, show_nothing, tell_nobody
from toolkit.runs.origin import find_origin
from toolkit.runs.run import find_run, read_run
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.workers.client import Opener, open_worker

NO_RUN = "the run that this model came from is not here: the reference is the file's own weights in float64"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityOptions:
    """What a check is told besides the axes of its matrix.

    Attributes:
        run: the run that a model of ours came from; found by the hash of its checkpoint by default.
        feeds: where a stranger's inputs come from.
        budget_s: seconds for a stranger's reference; the default of `Budget` where it is None.
        against: a recording to judge by, by default the one that a module's export left beside the file; nothing is
            computed then.
        record: where the reference is written for another machine.
        worst: a folder for the worst sample of each row; None for none.
        bisect: whether the first wrong node of the first failed row is looked for.
    """

    run: Path | None = None
    feeds: FeedConfig = field(default_factory=FeedConfig)
    budget_s: float | None = None
    against: Path | None = None
    record: Path | None = None
    worst: Path | None = None
    bisect: bool = False

    def __post_init__(self) -> None:
        if self.budget_s is not None:
            Budget(seconds=self.budget_s)  # refused here; its time begins further down


class ParityListener:
    """Hears what a check has to tell on its way, and is asked for images. This one is silent."""

    def accept(self, subject: Subject) -> None:
        """Hear that all that was asked for by name opens the file; what is raised here ends the check."""

    def note(self, words: str) -> None:
        """Hear a remark, one line."""

    def progress(self, label: str, *, unit: str = "") -> AbstractContextManager[ShowProgress]:
        """Return what is to be called with how far one part of the check is."""
        return show_nothing(label, unit=unit)

    def load_images(self, card: Card, recorded: Mapping[str, Any]) -> Dataset:
        """Return the data set whose test images a model of ours is judged on.

        Args:
            card: the model's.
            recorded: `name` and `sha256` of its data, and their `source`, which only a run tells of a user's own.
        """
        from toolkit.data.load import load_dataset

        source = recorded.get("source")
        size = (card.input.height, card.input.width) if source else None
        dataset = load_dataset(source or recorded["name"], size=size, on_note=self.note)
        dataset.require_same(card.data, owner=card.name)
        return dataset


def check_parity(
    source: ModelSource,
    config: ParityConfig,
    *,
    options: ParityOptions | None = None,
    store: ArtifactStore | None = None,
    opener: Opener = open_worker,
    listener: ParityListener | None = None,
) -> ParityReport:
    """Check that every engine of a matrix gives a file's answers, within what rounding explains.

    Args:
        source: the model.
        config: the axes of the matrix.
        options: everything else.
        store: where runs are looked for.
        opener: opens the file in every engine.
        listener: hears of it; nobody does by default.

    Raises:
        KeyboardInterrupt: no row is finished; those that are make a report of their own.
        ProviderError, ResourceError: something that was asked for by name is not here.
        ModelError: the file is refused, or no reference can be computed.
        UsageError: words that make no sense for this file.
        DataError: images or a recording cannot be read.
    """
    options, store = options or ParityOptions(), store or ArtifactStore.default()
    listener = listener or ParityListener()
    recording = found = _find_recording(source, options, listener=listener)
    feeds = options.feeds if recording is None else FeedConfig(given=recording.first_feeds)
    with listener.progress("opening the model in what was asked for"):
        subject = require_providers(source, config, feeds=feeds, opener=opener)
    listener.accept(subject)
    environment = describe_environment()  # before the check: its load is not the check's own
    if subject.card is not None:
        source = replace(source, run=_find_run(subject.card, options, store=store))
    if recording is None:
        recording = _record(source, config, subject=subject, options=options, opener=opener, listener=listener)
        recording = replace(recording, environment=environment)
    if options.record is not None:
        write_recording(options.record, recording)
        listener.note(f"recording {options.record}")
    with listener.progress("judging engines", unit="rows") as bar:
        how: dict[str, Any] = {"progress": bar, "show": listener.progress}
        judged = judge_matrix(source, recording, config=config, precision=subject.precision, opener=opener, **how)
    report = replace(judged, environment=environment, recorded_on=recording.environment if found else {})
    if not report.is_interrupted:
        report = _explain(report, source, bisect=options.bisect, opener=opener, listener=listener)
    return report if options.worst is None else _write_worst(report, recording, source=source, folder=options.worst)


def record_reference(
    source: ModelSource, data: Dataset, *, config: ParityConfig, card: Card, opener: Opener = open_worker
) -> Recording:
    """Compute the reference of a file on a data set's test images, noise, special images and its golden vectors.

    Raises:
        ModelError: the run's checkpoint or the file's graph cannot be evaluated.
        WorkerError: a reference process died.
    """
    suites = make_suites(data.test.images, sample=config.sample)
    stated = card.bound.get("logits")
    reference = compute_reference(source, suites, precision=card.precision, stated=stated, opener=opener)
    return Recording(
        reference=reference.with_golden(card.golden),
        model_sha256=source.sha256,
        data={"name": data.name, "sha256": data.sha256},
    )


def record_feeds(
    source: ModelSource,
    subject: Subject,
    *,
    feeds: FeedConfig,
    budget: Budget | None = None,
    opener: Opener = open_worker,
    progress: ShowProgress = tell_nobody,
    say: OnNote | None = None,
) -> Recording:
    """Compute the reference of a stranger's file on inputs that are given or made.

    Args:
        source: the model.
        subject: as it was opened.
        feeds: where its inputs come from.
        budget: of the answers; the default one if left out.
        opener: opens the file in every witness.
        progress: called with the calls answered and how many are to be.
        say: told in a line what takes time beside them.

    Raises:
        ModelError: no reference can be computed.
        WorkerError: a reference process died.
        UsageError: no inputs can be made.
    """
    from toolkit.parity.references.made_feeds import make_feed_sets
    from toolkit.parity.references.witnesses import compute_feeds_reference

    sets = make_feed_sets(subject.inputs, feeds, plan=subject.plan)
    name = "inputs made from what the graph says of them" if feeds.given is None else "inputs given"
    told = {} if subject.plan is None else {"inputs": subject.plan.to_json()}
    return Recording(
        reference=compute_feeds_reference(
            source, sets, precision=subject.precision, budget=budget, opener=opener, progress=progress, say=say
        ),
        model_sha256=source.sha256,
        data={"name": name, "sha256": hash_calls(feed.arrays for feed in sets), **told},
    )


def _find_recording(source: ModelSource, options: ParityOptions, *, listener: ParityListener) -> Recording | None:
    """Return the recording that was named, else what the export of a module has left beside its file."""
    if options.against is not None:
        return read_recording(options.against, source)
    if options.feeds.says_anything or options.budget_s is not None:
        return None
    return find_recording(source, listener.note)


def _find_run(card: Card, options: ParityOptions, *, store: ArtifactStore) -> Path | None:
    if options.run is not None:
        return find_run(options.run, store=store)
    return find_origin(card.checkpoint_sha256, store=store)


def _record(
    source: ModelSource,
    config: ParityConfig,
    *,
    subject: Subject,
    options: ParityOptions,
    opener: Opener,
    listener: ParityListener,
) -> Recording:
    if subject.card is None:
        listener.note(f"{source.path.name} carries no card: it is judged as a stranger's")
        if subject.plan is not None and (words := subject.plan.describe()):
            listener.note(words)
        budget = None if options.budget_s is None else Budget(seconds=options.budget_s)  # its time begins here
        with listener.progress("computing the reference", unit="calls") as bar:
            return record_feeds(
                source, subject, feeds=options.feeds, budget=budget, opener=opener, progress=bar, say=listener.note
            )
    if not subject.card.data.get("name"):
        beside = recording_beside(source.path)
        raise ModelError(
            f"{source.path} is judged by the answers of the module that it was exported from; {beside} is not there, "
            "or of another file: put it there, or export the module again"
        )
    if source.run is None:
        listener.note(NO_RUN)
    # A card must not tell where a user's own data lie; the run does.
    recorded = subject.card.data if source.run is None else read_run(source.run).data
    dataset = listener.load_images(subject.card, recorded)
    with listener.progress("computing the float64 reference and its bounds"):
        return record_reference(source, dataset, config=config, card=subject.card, opener=opener)


def _explain(
    report: ParityReport, source: ModelSource, *, bisect: bool, opener: Opener, listener: ParityListener
) -> ParityReport:
    try:
        if any(row.status == "refused" or (row.status == "fail" and row.worst is not None) for row in report.rows):
            from toolkit.parity.diagnosis.triage import triage_report

            with listener.progress("looking for the cause"):
                report = triage_report(report, source, opener=opener)
        if bisect and not report.passed:
            from toolkit.parity.diagnosis.bisect import bisect_report

            with listener.progress("looking for the first wrong node"):
                report = bisect_report(report, source, opener=opener, say=listener.note)
    except KeyboardInterrupt:  # the rows are whole
        return replace(report, is_interrupted=True)
    return report


def _write_worst(report: ParityReport, recording: Recording, *, source: ModelSource, folder: Path) -> ParityReport:
    from toolkit.parity.diagnosis.replay import write_worst

    return write_worst(report, recording, source=source, folder=folder)
