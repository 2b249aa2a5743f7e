"""One prediction from paths to CSV: the library's face of `toolkit predict`."""

from __future__ import annotations

__all__ = ["run_prediction"]

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

from toolkit.artifacts import check_output
from toolkit.durable import open_atomic
from toolkit.errors import UsageError
from toolkit.imaging.decode import IMAGE_ENDINGS
from toolkit.prediction.engine import predict_batches
from toolkit.prediction.open_model import OpenedModel, open_model
from toolkit.prediction.report import PREVIEW_ROWS, PredictionReport
from toolkit.prediction.sinks import CsvSink
from toolkit.prediction.sources import open_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from toolkit.prediction.config import PredictionConfig
    from toolkit.prediction.rows import Row

    Progress = Callable[[int, int | None], None]


def run_prediction(
    config: PredictionConfig,
    *,
    progress: Progress | None = None,
    stream: BinaryIO | None = None,
) -> PredictionReport:
    """Predict every image of every input and write one CSV row for each.

    The output's name and the provider are judged before any input is opened. An input that cannot be used is an error
    row; call `raise_for_errors` on the report to make it the end.

    Args:
        config: what to do.
        progress: called with (rows done, None) after every batch.
        stream: where the CSV goes instead of `config.output`; binary, left open.

    Raises:
        UsageError: no output, or one that would overwrite something.
        ModelError: the model cannot be used.
        ProviderError: the provider asked for is not active.
        ResourceError: the output cannot be written.
    """
    if stream is None:
        _check_output(config)
    model = open_model(config)
    with ExitStack() as stack:
        stack.enter_context(model.runtime)
        target = stream if stream is not None else stack.enter_context(open_atomic(_output(config)))
        sink = CsvSink(target, classes=model.card.classes if config.probabilities else ())
        tally = _Tally(progress=progress)
        start = time.perf_counter()
        notes = list(model.notes)
        tally.drain(_predict(model, config, notes), sink)
        sink.finish()
        seconds = time.perf_counter() - start
    return _report(config, model, tally, seconds=seconds, notes=notes, output=config.output if stream is None else None)


class _Tally:
    """Counts rows on their way to the sink and keeps the first ones."""

    def __init__(self, *, progress: Progress | None) -> None:
        self.num_ok = self.num_errors = 0
        self.preview: list[Row] = []
        self.first_error = ""
        self._progress = progress

    def drain(self, rows: Iterable[Row], sink: CsvSink) -> None:
        for row in rows:
            sink.write(row)
            self._count(row)

    def _count(self, row: Row) -> None:
        if row.status == "error":
            self.num_errors += 1
            self.first_error = self.first_error or row.message
        else:
            self.num_ok += 1
        if len(self.preview) < PREVIEW_ROWS:
            self.preview.append(row)
        if self._progress is not None:
            self._progress(self.num_ok + self.num_errors, None)


def _report(
    config: PredictionConfig,
    model: OpenedModel,
    tally: _Tally,
    *,
    seconds: float,
    notes: list[str],
    output: Path | None,
) -> PredictionReport:
    info = model.runtime.info
    return PredictionReport(
        model=config.model,
        model_sha256=model.source.sha256,
        num_ok=tally.num_ok,
        num_errors=tally.num_errors,
        provider_requested=config.provider,
        provider_active=info.provider_active,
        fallback=info.fallback,
        fallback_reason=str(info.details.get("fallback_reason", "")),
        batch=config.batch,
        seconds=seconds,
        output=output,
        preview=tuple(tally.preview),
        first_error=tally.first_error,
        notes=tuple(notes),
    )


def _predict(model: OpenedModel, config: PredictionConfig, notes: list[str]) -> Iterable[Row]:
    info = model.runtime.info
    return predict_batches(
        model.runtime,
        open_sources(config.inputs, model.card.input, on_note=notes.append),
        card=model.card,
        batch=config.batch,
        provider=info.provider_active,
        fallback=info.fallback,
    )


def _output(config: PredictionConfig) -> Path:
    if config.output is None:
        raise UsageError("no output; give a file or a stream for the rows")
    return config.output


def _check_output(config: PredictionConfig) -> None:
    output = _output(config)
    check_output(output, force=config.force, inputs=(config.model, *config.inputs))
    # A folder's images are inputs too: --force must not let the CSV take the place of one.
    if output.exists() and output.suffix.lower() in IMAGE_ENDINGS:
        parents = output.resolve().parents
        if any(path.is_dir() and path.resolve() in parents for path in config.inputs):
            raise UsageError(f"the output {output} is an image of an input folder; choose another name")
