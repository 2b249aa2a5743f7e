"""The worst sample of each row in files, and the same engine on one of them once more."""

from __future__ import annotations

__all__ = [
    "ReplayReport",
    "Sample",
    "encode_png",
    "read_sample",
    "replay_sample",
    "worst_folder",
    "write_worst",
]

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.durable import write_atomic
from toolkit.errors import DataError, ModelError, ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.recording import Recording, load_recording, write_recording
from toolkit.parity.report import ParityReport, ParityRow, WorstSample
from toolkit.parity.trial import Expectation
from toolkit.plain import from_plain, to_plain
from toolkit.runtimes.agreement import Agreement
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.client import Opener, open_worker
from toolkit.runtimes.workers.time_limits import JUDGE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a replay file holds.

    Attributes:
        recording: the call with its known answers; nothing else.
        settings: how the engine was opened.
        suite: the suite's name.
        index: the item's place in what was judged of the suite.
        position: its place in the call.
        model_path: where the model lay.
        run: where the run lay that it came from; None without one.
    """

    recording: Recording
    settings: RuntimeSettings
    suite: str
    index: int
    position: int
    model_path: Path
    run: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What the engine answered this time.

    Attributes:
        sample: what was replayed.
        version: the engine's.
        provider: that was active.
        agreement: the verdict on the whole call.
        values: for each output of floats, the sample's reference, answer and difference.
    """

    sample: Sample
    version: str
    provider: str
    agreement: Agreement
    values: dict[str, dict[str, list[float]]]

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return bool(self.agreement)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/parity-replay/1`.

        Keys:
            settings: how the engine was opened.
            suite: the images or inputs that the sample is of.
            index: its place in what was judged of them.
            max_abs_logit_error: largest error of the call; null where the values could not be compared.
            bound: what rounding explains of it.
            failures: what did not hold.
            unclear: what rounding may explain or not.
        """
        agreement, sample = self.agreement, self.sample
        return {
            "schema": "toolkit/parity-replay/1",
            "passed": self.passed,
            "settings": to_plain(sample.settings),
            "version": self.version,
            "provider": self.provider,
            "suite": sample.suite,
            "index": sample.index,
            "max_abs_logit_error": agreement.max_abs_logit_error,
            "bound": agreement.bound,
            "failures": list(agreement.failures),
            "unclear": list(agreement.unclear),
            "values": self.values,
        }


def worst_folder(report_path: Path) -> Path:
    """Return the folder that holds the worst samples of a report."""
    return report_path.with_name(f"{report_path.stem}-worst")


def write_worst(report: ParityReport, recording: Recording, *, source: ModelSource, folder: Path) -> ParityReport:
    """Write each row's worst sample as an image and as a file that replays it; return the report that names them.

    Samples of an earlier report in the same folder, which `--force` gave up, are removed.
    """
    earlier = {path for path in folder.glob("[0-9]*-*") if path.suffix in {".png", ".replay"}}
    rows = tuple(
        replace(
            row,
            worst_files=_write_row(
                row, recording, source=source, stem=folder / f"{number:02d}-{row.runtime}-{row.provider}"
            ),
        )
        for number, row in enumerate(report.rows, start=1)
    )
    for path in earlier - {Path(path) for row in rows for path in row.worst_files.values()}:
        path.unlink()
    return replace(report, rows=rows)


def read_sample(path: Path) -> Sample:
    """Read a replay file.

    Raises:
        DataError: unreadable, damaged, or a recording of a whole check.
    """
    recording = load_recording(path)
    place = recording.sample
    try:
        return Sample(
            recording=recording,
            settings=from_plain(RuntimeSettings, place["settings"]),
            suite=str(place["suite"]),
            index=int(place["index"]),
            position=int(place["position"]),
            model_path=Path(place["path"]),
            run=Path(place["run"]) if place["run"] else None,
        )
    except (KeyError, TypeError, ValueError, ToolkitError) as error:
        raise DataError(f"{path} is no replay file ({error}); `toolkit parity` writes one for each row") from error


def replay_sample(sample: Sample, source: ModelSource, *, opener: Opener = open_worker) -> ReplayReport:
    """Run the same engine on the same call and judge it by the answers recorded then.

    Raises:
        ToolkitError: the engine does not open, or ends.
    """
    (expected,) = sample.recording.reference.suites
    outputs: dict[str, NDArray[Any]] = {}
    with opener(source, sample.settings, timeout_s=JUDGE_S) as worker:
        info = worker.info
        try:
            outputs = worker.run(expected.feeds)
            agreement = expected.compare(outputs)
        except ModelError as error:  # it was a failed row, and it fails again
            agreement = Agreement(bound=expected.bound, failures=(str(error),))
    return ReplayReport(
        sample=sample,
        version=info.version,
        provider=info.provider_active,
        agreement=agreement,
        values=dict(_values(expected, outputs, position=sample.position)),
    )


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return an image as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def _write_row(row: ParityRow, recording: Recording, *, source: ModelSource, stem: Path) -> dict[str, str]:
    if row.worst is None:
        return {}
    files = {"replay": Path(f"{stem}.replay")}
    write_recording(files["replay"], _pack_sample(row.worst, recording, source=source))
    if row.worst.image is not None:
        files["image"] = Path(f"{stem}.png")
        write_atomic(files["image"], encode_png(row.worst.image))
    return {name: str(path) for name, path in files.items()}


def _pack_sample(worst: WorstSample, recording: Recording, *, source: ModelSource) -> Recording:
    """Return a recording of one call, with what a replay needs besides.

    Args:
        worst: of a row.
        recording: that the row was judged by.
        source: the model, with its run where there is one.
    """
    place = {
        "settings": to_plain(worst.settings),
        "suite": worst.suite,
        "index": worst.index,
        "position": worst.position,
        "path": str(source.path.resolve()),
        "run": str(source.run.resolve()) if source.run else "",
    }
    part = replace(recording.reference, suites=(worst.expected,))  # type: ignore[arg-type]  # of the same kind
    return replace(recording, reference=part, sample=place)


def _values(
    expected: Expectation, outputs: dict[str, NDArray[Any]], *, position: int
) -> Iterable[tuple[str, dict[str, list[float]]]]:
    """Yield what the sample's rows say; an output without a row for each item is left out."""
    for name, array in expected.outputs.items():
        seen = outputs.get(name)
        if seen is None or seen.shape != array.shape or array.dtype.kind != "f" or not 0 < array.ndim <= 2:
            continue
        if position < len(array):
            reference, answer = np.atleast_1d(array[position]), np.atleast_1d(seen[position]).astype(np.float64)
            if np.isfinite(reference).all() and np.isfinite(answer).all():
                columns = {"reference": reference, "answer": answer, "difference": answer - reference}
                yield name, {key: [float(item) for item in value] for key, value in columns.items()}
