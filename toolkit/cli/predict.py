"""`toolkit predict`."""

from __future__ import annotations

__all__ = ["predict_command"]

import sys
from pathlib import Path
from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import announce_model
from toolkit.cli.options import AllowFallback, Force, Json, OutputPath
from toolkit.cli.output import Output, note
from toolkit.errors import UsageError
from toolkit.prediction.config import DEFAULT_BATCH, DEFAULT_PROVIDER, PredictionConfig

STDOUT = Path("-")

Inputs = Annotated[
    list[Path], typer.Argument(help="Images, folders, IDX or NPY files; one that ends in .onnx is the model.")
]
Provider = Annotated[str, typer.Option("--provider", help="cpu, cuda, tensorrt, openvino, or auto: cuda, else cpu.")]
BatchSize = Annotated[int, typer.Option("--batch", help="Images in one call; the last batch is padded.")]
Probabilities = Annotated[bool, typer.Option("--probabilities", help="Add one column p_<class> for every class.")]
ThreadCount = Annotated[int, typer.Option("--threads", help="Threads inside one operator; 0: the engine's own.")]


def predict_command(
    inputs: Inputs,
    provider: Provider = DEFAULT_PROVIDER,
    output: OutputPath = None,
    force: Force = False,
    batch: BatchSize = DEFAULT_BATCH,
    probabilities: Probabilities = False,
    allow_fallback: AllowFallback = False,
    threads: ThreadCount = 0,
    as_json: Json = False,
) -> None:
    """Predict images: one CSV row each, -o - for stdout. The model is the .onnx given, else the latest."""
    to_stdout = output == STDOUT
    if to_stdout and as_json:
        raise UsageError("--output - and --json both want stdout; choose one")
    given, images = _split_inputs(inputs)
    store = ArtifactStore.default()
    model = given or store.latest_model()
    config = PredictionConfig(
        model=model,
        inputs=images,
        output=None if to_stdout else output or store.new_file("predictions", model.stem, ".csv"),
        force=force,
        provider=provider,
        batch=batch,
        probabilities=probabilities,
        allow_fallback=allow_fallback,
        threads=threads,
    )
    from toolkit.prediction.run import run_prediction
    from toolkit.render_predictions import prediction_summary, predictions_table

    out = Output(as_json=as_json or to_stdout)
    with out.progress("predicting", unit="images") as bar:
        report = run_prediction(config, progress=bar, stream=sys.stdout.buffer if to_stdout else None)
    if given is None:
        announce_model(model, store=store)  # after the refusals, which are one line
    for sentence in report.notes:
        note(sentence)
    table = [predictions_table(report)] if report.preview else []
    if to_stdout:
        out.show(*prediction_summary(report))
    else:
        out.report(report.to_json(), *table, *prediction_summary(report))
    report.raise_for_errors()


def _split_inputs(inputs: list[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    models = [path for path in inputs if path.suffix.lower() == ".onnx"]
    images = tuple(path for path in inputs if path not in models)
    if len(models) > 1:
        raise UsageError(f"{len(models)} models given ({', '.join(map(str, models))}); expected one")
    return (models[0] if models else None), images
