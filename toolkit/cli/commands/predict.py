"""`toolkit predict`: what is asked for, the settings that follow; a bar while it runs, rows and pictures at the end."""

from __future__ import annotations

__all__ = ["predict_command"]

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO, cast

import typer

from toolkit.artifacts import ArtifactStore, check_picture, claim_outputs
from toolkit.cli.completion import ARITHMETICS, one_of, single_engines
from toolkit.cli.context import announce_model, choose_model
from toolkit.cli.hearing import CommandListener
from toolkit.cli.options import AllowFallback, Force, Json, ProviderOrAuto, command_of, option, options_for
from toolkit.cli.output import Output, draw_picture, note
from toolkit.errors import UsageError
from toolkit.imaging.settings import AUTO, FIT_WISHES, POLARITY_WISHES
from toolkit.prediction.config import DEFAULT_BATCH, DEFAULT_PROVIDER, DEFAULT_RUNTIME, EXECUTORS, LOCAL

if TYPE_CHECKING:
    from toolkit.prediction.report import PredictionReport

STDOUT = Path("-")
FORMAT_ENDINGS = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet", "npy": ".npy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictRequest:
    """Predict images: one row each, -o - for stdout. The model is the .onnx given, else the latest."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders, 'globs', ZIP and TAR archives, IDX, NPY, NPZ, Parquet; - for names on stdin; "
            "one that ends in .onnx is the model."
        ),
    ]
    output: Annotated[
        Path | None, option("Where rows go; - for stdout.", "--output", "-o", default="a unique name")
    ] = None
    format: Annotated[
        str | None,
        option(
            "csv, jsonl, parquet or npy.", default="by the output's ending, else csv", complete=one_of(FORMAT_ENDINGS)
        ),
    ] = None
    force: Force = False
    resume: Annotated[bool, option("Go on with an unfinished output, the latest where none is named.", "--resume")] = (
        False
    )
    runtime: Annotated[
        str,
        option(
            "The engine: ort, openvino, ... (toolkit runtimes list); auto: the fastest of those that answer right.",
            complete=one_of(single_engines),
        ),
    ] = DEFAULT_RUNTIME
    provider: ProviderOrAuto = DEFAULT_PROVIDER
    precision: Annotated[
        str,
        option(
            "Arithmetic of the engine: fp32, bf16 or tf32.",
            complete=one_of([name for name in ARITHMETICS if name != "all"]),
        ),
    ] = "fp32"
    fit: Annotated[
        str,
        option("How a picture becomes the model's size: auto, mnist, stretch or none.", complete=one_of(FIT_WISHES)),
    ] = AUTO
    polarity: Annotated[
        str, option("What pictures are: auto, light-on-dark or dark-on-light.", complete=one_of(POLARITY_WISHES))
    ] = AUTO
    batch: Annotated[str, option("Images in one call, the last one padded; auto measures and picks.")] = str(
        DEFAULT_BATCH
    )
    probabilities: Annotated[bool, option("Add one column p_<class> for every class.", "--probabilities")] = False
    labels_from_filename: Annotated[
        bool, option("Score against the class that each file's name begins with.", "--labels-from-filename")
    ] = False
    labels_from_folder: Annotated[
        bool, option("Score against the class that each picture's folder is named.", "--labels-from-folder")
    ] = False
    gallery: Annotated[Path | None, option("Draw the least sure images to this PNG.")] = None
    executor: Annotated[str, option("local, or ray for many machines (extra: ray).", complete=one_of(EXECUTORS))] = (
        LOCAL
    )
    processes: Annotated[int | None, option("Most decoder processes.", default="one for each core")] = None
    allow_fallback: AllowFallback = False
    allow_bf16: Annotated[bool, option("With --runtime auto: engines may compute in bfloat16.", "--allow-bf16")] = False
    allow_int8: Annotated[
        bool, option("With --runtime auto: they may run NAME.int8.onnx beside the model.", "--allow-int8")
    ] = False
    threads: Annotated[int, option("Threads inside one operator; 0: the engine's own.")] = 0
    as_json: Json = False

    def __post_init__(self) -> None:
        if len(self._models) > 1:
            raise UsageError(f"{len(self._models)} models given ({', '.join(self._models)}); expected one")
        if self.to_stdout and self.as_json:
            raise UsageError("--output - and --json both want stdout; choose one")
        if self.to_stdout and self.resume:
            raise UsageError("--resume goes on with a file; it cannot with --output -")
        check_picture(self.gallery)

    @property
    def to_stdout(self) -> bool:
        """Whether rows go to stdout."""
        return self.output == STDOUT

    @property
    def model(self) -> Path | None:
        """The model that was named."""
        return Path(self._models[0]) if self._models else None

    @property
    def images(self) -> tuple[Path, ...]:
        """Everything else that was named."""
        return tuple(Path(text) for text in self.inputs if text not in self._models)

    @property
    def _models(self) -> list[str]:
        return [text for text in self.inputs if text.lower().endswith(".onnx")]


def _carry_out(request: PredictRequest) -> None:
    from toolkit.api.predict import predict

    store = ArtifactStore.default()
    model = request.model or choose_model(None, store=store)
    claim_outputs(request.gallery, force=request.force)
    out = Output(as_json=request.as_json or request.to_stdout)
    listener = CommandListener(out, shows_bars=not request.to_stdout or _goes_to_file(sys.stdout))
    output = sys.stdout.buffer if request.to_stdout else _choose_output(request, model, store=store)
    told = {"model": model, "images": request.images, "output": output, "on_error": "keep", "listener": listener}
    # With an output it is a report, which no checker sees in a table of options.
    report = cast("PredictionReport", predict(**options_for(predict, request) | told))
    if request.model is None:
        announce_model(model, store=store)  # after the refusals, which are one line
    _show(report, request.gallery, out=out, to_stdout=request.to_stdout)
    report.raise_for_errors()


def _goes_to_file(stream: TextIO) -> bool:
    """Tell whether rows stay off the terminal, where nothing may be drawn among them, whoever writes them there."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:  # no descriptor
        return False


def _choose_output(request: PredictRequest, model: Path, *, store: ArtifactStore) -> Path:
    if request.output is not None:
        return request.output
    if request.resume:
        from toolkit.prediction.sinks.target import latest_unfinished

        return latest_unfinished(store.root / "predictions")
    return store.new_file("predictions", model.stem, suffix=FORMAT_ENDINGS.get(request.format or "csv", ".csv"))


def _show(report: PredictionReport, gallery: Path | None, *, out: Output, to_stdout: bool) -> None:
    from toolkit.render.predictions import prediction_summary, predictions_table

    if gallery is not None:
        _draw_gallery(report, gallery)
    table = [predictions_table(report)] if report.preview else []
    if to_stdout:
        out.show(*prediction_summary(report))
    else:
        out.report(report.to_json(), *table, *prediction_summary(report))


def _draw_gallery(report: PredictionReport, gallery: Path) -> None:
    if not report.gallery:
        note(f"no image has an answer, so there is no gallery at {gallery}")
        return
    from toolkit.plots.evaluation import draw_gallery

    if draw_picture(gallery, lambda: draw_gallery(report)):
        note(f"the {len(report.gallery)} least sure images are shown in {gallery}")


predict_command = command_of(PredictRequest, _carry_out)
