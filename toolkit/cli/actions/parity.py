"""`toolkit parity`: a check carried out and shown, and one row's sample replayed."""

from __future__ import annotations

__all__ = ["check_and_report", "replay_and_report", "require_passed"]

from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.api.check_parity import check_parity
from toolkit.artifacts import ArtifactStore
from toolkit.cli.hearing import CommandListener
from toolkit.cli.output import Output, note
from toolkit.counts import count_of
from toolkit.errors import CheckFailedError, ModelError
from toolkit.onnx_file.external_data import read_model
from toolkit.parity.diagnosis.replay import read_sample, replay_sample
from toolkit.parity.recording import require_same_model
from toolkit.parity.report import ParityReport
from toolkit.render.parity import (
    describe_causes,
    describe_matrix,
    describe_reference,
    describe_replay,
    replay_table,
)

# Of a failure in the one line that ends the command; the report has the rest.
MOST_WORDS = 400


def check_and_report(
    path: Path, options: dict[str, Any], *, target: Path | None = None, is_latest: bool = False, output: Output
) -> tuple[ParityReport, Path]:
    """Check a model, write the report and show it; return it and where it lies.

    Args:
        path: the model.
        options: of the check, as `toolkit.check_parity` takes them.
        target: where the report goes, the worst samples beside it; a new file by default.
        is_latest: whether nobody named the model, so that it is said which one it is.
        output: where it is shown.
    """
    target = target or ArtifactStore.default().new_file("reports", f"parity-{path.stem}", suffix=".json")
    told = CommandListener(output, announced=path if is_latest else None)
    report = check_parity(**options | {"model": path, "output": target, "listener": told})
    output.report(
        report.to_json(),
        *describe_matrix(report),
        *describe_reference(report),
        *describe_causes(report),
        f"report {target}",
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
