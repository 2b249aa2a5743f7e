"""The worst sample of every row, written beside the report, and run again from there."""

from __future__ import annotations

__all__ = ["as_png", "replay_and_report", "worst_folder", "write_worst"]

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.artifacts import ArtifactStore
from toolkit.cli.output import Output, note
from toolkit.durable import write_atomic
from toolkit.errors import CheckFailedError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from toolkit.cli.actions.parity_request import ParityRequest
    from toolkit.onnx_file.source import ModelSource
    from toolkit.parity.recording import Recording
    from toolkit.parity.report import ParityReport, ParityRow


def worst_folder(report_path: Path) -> Path:
    """Return the folder that holds the worst samples of a report."""
    return report_path.with_name(f"{report_path.stem}-worst")


def write_worst(report: ParityReport, recording: Recording, source: ModelSource, folder: Path) -> ParityReport:
    """Write each row's worst sample as an image and as a file that replays it; return the report that names them.

    Samples of an earlier report in the same folder, which `--force` gave up, are removed.
    """
    earlier = {path for path in folder.glob("[0-9]*-*") if path.suffix in {".png", ".replay"}}
    rows = tuple(
        replace(
            row, worst_files=_write_row(row, recording, source, folder / f"{number:02d}-{row.runtime}-{row.provider}")
        )
        for number, row in enumerate(report.rows, start=1)
    )
    for path in earlier - {Path(path) for row in rows for path in row.worst_files.values()}:
        path.unlink()
    return replace(report, rows=rows)


def _write_row(row: ParityRow, recording: Recording, source: ModelSource, stem: Path) -> dict[str, str]:
    from toolkit.parity.diagnosis.replay import pack_sample
    from toolkit.parity.recording import write_recording

    if row.worst is None:
        return {}
    files = {"replay": Path(f"{stem}.replay")}
    write_recording(files["replay"], pack_sample(row.worst, recording, source))
    if row.worst.image is not None:
        files["image"] = Path(f"{stem}.png")
        write_atomic(files["image"], as_png(row.worst.image))
    return {name: str(path) for name, path in files.items()}


def as_png(image: NDArray[np.uint8]) -> bytes:
    """Return an image as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def replay_and_report(path: Path, request: ParityRequest, *, output: Output) -> None:
    """Run the engine of a row on its worst sample again.

    Raises:
        CheckFailedError: it fails again.
        ExternalDataError: it was judged with weights from beside it, which nobody says to trust now.
    """
    from toolkit.onnx_file.external_data import read_model
    from toolkit.parity.diagnosis.replay import read_sample, replay_sample
    from toolkit.parity.recording import require_same_model
    from toolkit.render.parity import describe_replay, replay_table
    from toolkit.runs.run import find_run
    from toolkit.runtimes.registry import find_entry
    from toolkit.runtimes.workers.probe import require_all_inside

    sample = read_sample(path)
    if request.model is None and not sample.model_path.exists():
        raise ModelError(f"the model of {path}, {sample.model_path}, is not there any more; name it before --replay")
    source = read_model(request.model or sample.model_path, allow_external_data=request.allow_external_data)
    if source.sha256 != sample.recording.model_sha256:
        require_all_inside(source)
    require_same_model(sample.recording, source, owner=path)
    if find_entry(sample.settings.runtime).needs_run and sample.run is not None:
        source = replace(source, run=find_run(sample.run, store=ArtifactStore.default()))
    note(f"replaying {path} with {source.path}")
    report = replay_sample(sample, source)
    output.report(report.to_json(), describe_replay(report), *replay_table(report))
    if not report.passed:
        raise CheckFailedError(
            f"the sample fails again: {'; '.join((*report.judgement.failures, *report.judgement.unclear))}"
        )
