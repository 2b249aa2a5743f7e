"""`toolkit predict`."""

from __future__ import annotations

__all__ = ["predict_command"]

from pathlib import Path
from typing import Annotated

import typer

from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import choose_model
from toolkit.cli.options import AllowFallback, Force, Json
from toolkit.cli.predict_options import Request, make_config, split_inputs
from toolkit.cli.predict_results import carry_out
from toolkit.imaging.settings import AUTO, PrepareSettings
from toolkit.prediction.config import DEFAULT_BATCH, DEFAULT_PROVIDER, DEFAULT_RUNTIME

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Images, folders, 'globs', ZIP and TAR archives, IDX, NPY, NPZ, Parquet; - for names on stdin; "
        "one that ends in .onnx is the model."
    ),
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where rows go; - for stdout; a unique name by default.")
]
Form = Annotated[
    str | None, typer.Option("--format", help="csv, jsonl, parquet or npy; by the output's ending, else csv.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished output, by default the latest.")]
Runtime = Annotated[str, typer.Option("--runtime", help="The engine: ort, openvino, ... (toolkit runtimes list).")]
Provider = Annotated[str, typer.Option("--provider", help="cpu, cuda, tensorrt, openvino, or auto: cuda, else cpu.")]
Precision = Annotated[str, typer.Option("--precision", help="Arithmetic of the engine: fp32, bf16 or tf32.")]
BatchSize = Annotated[
    str, typer.Option("--batch", help="Images in one call, the last one padded; auto measures and picks.")
]
Fit = Annotated[
    str, typer.Option("--fit", help="How a picture becomes the model's size: auto, mnist, stretch or none.")
]
Polarity = Annotated[str, typer.Option("--polarity", help="What pictures are: auto, light-on-dark or dark-on-light.")]
Probabilities = Annotated[bool, typer.Option("--probabilities", help="Add one column p_<class> for every class.")]
Truths = Annotated[
    bool, typer.Option("--labels-from-filename", help="Score against the class that each file's name begins with.")
]
Gallery = Annotated[Path | None, typer.Option("--gallery", help="Draw the least sure images to this PNG.")]
Executor = Annotated[str, typer.Option("--executor", help="local, or ray for many machines (extra: ray).")]
Processes = Annotated[
    int | None, typer.Option("--processes", help="Most decoder processes; one for each core by default.")
]
ThreadCount = Annotated[int, typer.Option("--threads", help="Threads inside one operator; 0: the engine's own.")]


def predict_command(
    inputs: Inputs,
    output: OutputFile = None,
    form: Form = None,
    force: Force = False,
    resume: Resume = False,
    runtime: Runtime = DEFAULT_RUNTIME,
    provider: Provider = DEFAULT_PROVIDER,
    precision: Precision = "fp32",
    fit: Fit = AUTO,
    polarity: Polarity = AUTO,
    batch: BatchSize = str(DEFAULT_BATCH),
    probabilities: Probabilities = False,
    labels_from_filename: Truths = False,
    gallery: Gallery = None,
    executor: Executor = "local",
    processes: Processes = None,
    allow_fallback: AllowFallback = False,
    threads: ThreadCount = 0,
    as_json: Json = False,
) -> None:
    """Predict images: one row each, -o - for stdout. The model is the .onnx given, else the latest."""
    given, images = split_inputs(inputs)
    store = ArtifactStore.default()
    request = Request(output=output, form=form, resume=resume, batch=batch, gallery=gallery, as_json=as_json)
    config = make_config(
        request,
        store,
        model=given or choose_model(None, store=store),
        inputs=images,
        force=force,
        runtime=runtime,
        provider=provider,
        precision=precision,
        settings=PrepareSettings(fit=fit, polarity=polarity),
        probabilities=probabilities,
        truths=labels_from_filename,
        executor=executor,
        processes=processes,
        allow_fallback=allow_fallback,
        threads=threads,
    )
    if given is not None:
        choose_model(given, store=store)  # where the words make sense, its file has to be there
    carry_out(config, request, store=store, is_latest=given is None)
