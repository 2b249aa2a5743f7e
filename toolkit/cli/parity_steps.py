"""A parity check from a model's path to its report; one place for every command that runs one."""

from __future__ import annotations

__all__ = ["ParityFiles", "run_and_report"]

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import announce_model, load_recorded_data
from toolkit.cli.output import Output, invocation, note
from toolkit.durable import write_json
from toolkit.parity.config import ParityConfig

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.parity.recording import Recording
    from toolkit.parity.report import ParityReport
    from toolkit.runtimes.source import ModelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityFiles:
    """Files of one check.

    Attributes:
        record: where the reference goes, None for nowhere.
        against: a recorded reference, None to compute it.
        output: where the report goes; a unique name by default.
    """

    record: Path | None = None
    against: Path | None = None
    output: Path | None = None


def run_and_report(
    path: Path,
    config: ParityConfig,
    *,
    output: Output,
    run: Path | None = None,
    data: str | None = None,
    files: ParityFiles | None = None,
) -> tuple[ParityReport, Path]:
    """Run the matrix, write its report and show it."""
    from toolkit.environment import describe_environment
    from toolkit.network.run import find_run
    from toolkit.parity.matrix import judge_matrix, require_providers
    from toolkit.parity.recording import read_recording, write_recording
    from toolkit.render_parity import parity_table
    from toolkit.runtimes.origin import find_origin
    from toolkit.runtimes.source import ModelSource

    files = files or ParityFiles()
    store = ArtifactStore.default()
    source = ModelSource.read(path)
    card = require_providers(source, config)
    announce_model(path, store=store)  # after the refusals, which are one line
    origin = find_origin(card.checkpoint_sha256, store=store) if run is None else find_run(run, store=store)
    source, environment = replace(source, run=origin), describe_environment()
    if files.against is not None:
        recording = read_recording(files.against, source)
    else:
        recording = _record(source, config, card, data=data, environment=environment, output=output)
    if files.record is not None:
        write_recording(files.record, recording)
        note(f"recording {files.record}")
    with output.progress("parity", unit="rows") as bar:
        report = judge_matrix(source, recording, config, card=card, progress=bar)
    if files.against is not None:
        report = replace(report, recorded_on=recording.environment)
    target = files.output or store.new_file("reports", f"parity-{path.stem}", ".json")
    value = report.to_json(command=invocation(), environment=environment)
    write_json(target, value)
    output.report(value, parity_table(report), f"report {target}")
    return report, target


def _record(
    source: ModelSource,
    config: ParityConfig,
    card: Card,
    *,
    data: str | None,
    environment: dict[str, Any],
    output: Output,
) -> Recording:
    from toolkit.evaluation.evaluate import require_same_data
    from toolkit.network.run import read_run
    from toolkit.parity.recording import record_reference

    if source.run is None:
        note("the run that this model came from is not here: the reference is the file's own weights in float64")
    # A card must not tell where a user's own data lie; the run does.
    recorded = card.data if source.run is None else read_run(source.run).data
    dataset = load_recorded_data(data, recorded, output, size=(card.input.height, card.input.width))
    if data is None:
        require_same_data(dataset, card.data, owner=source.path.name)
    return record_reference(source, dataset, config, card=card, environment=environment)
