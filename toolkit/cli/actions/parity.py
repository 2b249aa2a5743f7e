"""`toolkit parity`: a check carried out and shown, and one row's sample replayed."""

from __future__ import annotations

__all__ = ["check_and_report", "replay_and_report", "require_passed"]

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import announce_model, load_recorded_data
from toolkit.cli.output import Output, note, repeat_command
from toolkit.counts import count_of
from toolkit.durable import write_json
from toolkit.errors import CheckFailedError, ModelError, UsageError
from toolkit.onnx_file.external_data import read_model
from toolkit.parity.check import ParityListener, ParityOptions, check_parity
from toolkit.parity.diagnosis.replay import read_sample, replay_sample, worst_folder
from toolkit.parity.recording import require_same_model
from toolkit.render.parity import (
    describe_causes,
    describe_matrix,
    describe_reference,
    describe_replay,
    replay_table,
)

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.data import Dataset
    from toolkit.parity.config import ParityConfig
    from toolkit.parity.report import ParityReport
    from toolkit.parity.subject import Subject
    from toolkit.progress import ShowProgress

# Of a failure in the one line that ends the command; the report has the rest.
MOST_WORDS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown(ParityListener):
    """Shows a check on its way, refuses words that mean nothing for the file, and loads the data that was named."""

    path: Path
    config: ParityConfig
    options: ParityOptions
    data: str | None
    store: ArtifactStore
    output: Output

    def accept(self, subject: Subject) -> None:
        name, options = self.path.name, self.options
        if subject.card is not None and (options.feeds.says_anything or options.budget_s is not None):
            words = f"{name} carries a card and is judged on images"
            raise UsageError(f"{words}; leave out --inputs, --shape, --value and --budget")
        if subject.card is None and (self.data, self.config.sample, options.run) != (None, None, None):
            raise UsageError(f"{name} carries no card, so --data, --sample and --run mean nothing to it; see --inputs")
        announce_model(self.path, store=self.store)  # after the refusals, which are one line

    def note(self, words: str) -> None:
        note(words)

    def progress(self, label: str, *, unit: str = "") -> AbstractContextManager[ShowProgress]:
        return self.output.progress(label, unit=unit)

    def load_images(self, card: Card, recorded: Mapping[str, Any]) -> Dataset:
        dataset = load_recorded_data(
            self.data, recorded, output=self.output, size=(card.input.height, card.input.width)
        )
        if self.data is None:
            dataset.require_same(card.data, owner=self.path.name)
        return dataset


def check_and_report(
    path: Path,
    config: ParityConfig,
    *,
    options: ParityOptions,
    data: str | None = None,
    target: Path | None = None,
    allow_external_data: bool = False,
    output: Output,
) -> tuple[ParityReport, Path]:
    """Check a model, write the report and show it; return it and where it lies.

    Args:
        path: the model.
        config: the axes of the matrix.
        options: of the check; the worst samples lie beside the report.
        data: the data set that was named; None for the recorded one.
        target: where the report goes; a new file by default.
        allow_external_data: whether weights may lie beside the model.
        output: where it is shown.
    """
    store = ArtifactStore.default()
    source = read_model(path, allow_external_data=allow_external_data)
    target = target or store.new_file("reports", f"parity-{path.stem}", suffix=".json")
    shown = _Shown(path=path, config=config, options=options, data=data, store=store, output=output)
    report = check_parity(
        source, config, options=replace(options, worst=worst_folder(target)), store=store, listener=shown
    )
    value = report.to_json(command=repeat_command())
    write_json(target, value)
    output.report(
        value, *describe_matrix(report), *describe_reference(report), *describe_causes(report), f"report {target}"
    )
    return report, target


def require_passed(report: ParityReport) -> None:
    """End with the first failure in one line.

    Raises:
        CheckFailedError: a row failed or is open, or none was judged.
        KeyboardInterrupt: it was ended before all were.
    """
    if report.is_interrupted:
        raise KeyboardInterrupt
    if report.passed:
        return
    rows = count_of(len(report.rows), "row")
    open_rows = [row for row in report.rows if row.status == "undecided"]
    told = report.failed or open_rows or [row for row in report.rows if row.status == "refused"]
    if not told:
        row = report.rows[0]
        raise CheckFailedError(f"parity judged none of {rows}; {row.runtime}: {row.reason}")
    first = f"{told[0].runtime} on {told[0].provider}: {told[0].reason}"
    first = first if len(first) <= MOST_WORDS else f"{first[:MOST_WORDS]} ..."
    if report.verdict == "undecided":
        raise CheckFailedError(f"parity is undecided in {len(open_rows)} of {rows}; {first}")
    raise CheckFailedError(f"parity failed in {len(report.failed)} of {rows}; {first}")


def replay_and_report(sample_path: Path, model: Path | None, *, allow_external_data: bool, output: Output) -> None:
    """Run the engine of a row on its worst sample again.

    Args:
        sample_path: the row's `.replay` file.
        model: where the model lies now; None: where it lay then.
        allow_external_data: whether weights may lie beside it.
        output: where it is shown.

    Raises:
        CheckFailedError: it fails again.
        ExternalDataError: it was judged with weights from beside it, which nobody says to trust now.
    """
    from toolkit.runs.run import find_run
    from toolkit.runtimes.registry import find_runtime
    from toolkit.runtimes.workers.probe import require_all_inside

    sample = read_sample(sample_path)
    if model is None and not sample.model_path.exists():
        raise ModelError(
            f"the model of {sample_path}, {sample.model_path}, is not there any more; name it before --replay"
        )
    source = read_model(model or sample.model_path, allow_external_data=allow_external_data)
    if source.sha256 != sample.recording.model_sha256:
        require_all_inside(source)
    require_same_model(sample.recording, source, owner=sample_path)
    if find_runtime(sample.settings.runtime).needs_run and sample.run is not None:
        source = replace(source, run=find_run(sample.run, store=ArtifactStore.default()))
    note(f"replaying {sample_path} with {source.path}")
    report = replay_sample(sample, source)
    output.report(report.to_json(), describe_replay(report), *replay_table(report))
    if not report.passed:
        raise CheckFailedError(
            f"the sample fails again: {'; '.join((*report.agreement.failures, *report.agreement.unclear))}"
        )
