"""`toolkit.predict`: pictures or arrays in, answers out."""

from __future__ import annotations

__all__ = ["predict"]

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypedDict, Unpack, overload

from toolkit.api.failures import in_callers_words
from toolkit.api.listener import Listener
from toolkit.api.subjects import MODEL, as_path, find_model
from toolkit.artifacts import ArtifactStore
from toolkit.errors import UsageError, require_known
from toolkit.imaging.settings import AUTO, PrepareSettings
from toolkit.prediction.config import (
    AUTO_BATCH,
    AUTO_RUNTIME,
    DEFAULT_BATCH,
    DEFAULT_PROVIDER,
    DEFAULT_RUNTIME,
    FROM_FILENAME,
    FROM_FOLDER,
    EngineChoice,
    PredictionConfig,
)
from toolkit.progress import heard_by

if TYPE_CHECKING:
    from toolkit.api.subjects import PathLike
    from toolkit.prediction.answers import Prediction
    from toolkit.prediction.fastest import FastestEngine
    from toolkit.prediction.report import PredictionReport
    from toolkit.prediction.sources.given import OneImage

ON_ERROR = ("raise", "keep")


class _Options(TypedDict, total=False):
    runtime: str
    provider: str
    precision: str
    threads: int
    fit: str
    polarity: str
    batch: int | str
    processes: int | None
    allow_fallback: bool
    allow_bf16: bool
    allow_int8: bool
    format: str | None
    probabilities: bool
    labels_from_filename: bool
    labels_from_folder: bool
    gallery: PathLike | None
    executor: str
    resume: bool
    force: bool
    on_error: Literal["raise", "keep"]
    listener: Listener | None


@overload
def predict(
    model: PathLike,
    images: OneImage | Sequence[OneImage],
    *,
    output: None = None,
    **options: Unpack[_Options],
) -> Prediction: ...
@overload
def predict(
    model: PathLike,
    images: PathLike | Sequence[PathLike],
    *,
    output: PathLike | BinaryIO,
    **options: Unpack[_Options],
) -> PredictionReport: ...
@in_callers_words
def predict(
    model: PathLike,
    images: Any,
    *,
    output: PathLike | BinaryIO | None = None,
    runtime: str = DEFAULT_RUNTIME,
    provider: str = DEFAULT_PROVIDER,
    precision: str = "fp32",
    threads: int = 0,
    fit: str = AUTO,
    polarity: str = AUTO,
    batch: int | str = DEFAULT_BATCH,
    processes: int | None = None,
    allow_fallback: bool = False,
    allow_bf16: bool = False,
    allow_int8: bool = False,
    format: str | None = None,  # noqa: A002 - the option's own name
    probabilities: bool = False,
    labels_from_filename: bool = False,
    labels_from_folder: bool = False,
    gallery: PathLike | None = None,
    executor: str = "local",
    resume: bool = False,
    force: bool = False,
    on_error: Literal["raise", "keep"] = "raise",
    listener: Listener | None = None,
) -> Prediction | PredictionReport:
    """Answer images: in memory, or with `output` as rows of a file, of any number.

    Args:
        model: an `.onnx` file that `toolkit.export` or `toolkit export` wrote, or what the former returned.
        images: paths, as many as are given: pictures, folders, globs, ZIP and tar archives, IDX, NPY, NPZ, Parquet; or
            arrays, PIL images, bytes of pictures' files, as `Classifier.predict` takes them.
        output: a file, or a stream opened for writing bytes, to which rows go as they are answered.
        runtime: the engine: `ort`, `openvino`, ...; or `auto`: the fastest installed one of those that answer the
            file's golden vectors within rounding's bound, tried once and remembered for file and machine.
        provider: `cpu`, `cuda`, `tensorrt`, `openvino`, or `auto`.
        precision: arithmetic of the engine: `fp32`, `bf16` or `tf32`.
        threads: threads inside one operator; 0: the engine's own.
        fit: how a picture becomes the model's size: `auto`, `mnist`, `stretch`, `none`.
        polarity: what pictures are: `auto`, `light-on-dark`, `dark-on-light`.
        batch: images in one call, or `"auto"`, which measures and picks.
        processes: most decoder processes; one for each core by default.
        allow_fallback: go on with the CPU where a provider is not active, and mark every answer.
        allow_bf16: with `auto`, engines may compute in bfloat16.
        allow_int8: with `auto`, engines may run `<name>.int8.onnx` beside the model.
        format: of the rows: `csv`, `jsonl`, `parquet`, `npy`; by the output's ending by default.
        probabilities: rows have a column for every class.
        labels_from_filename: score against the class that each file's name begins with.
        labels_from_folder: score against the class that each picture's folder is named.
        gallery: keep the least sure images in the report's `gallery`; the command draws them into this file.
        executor: `local`, or `ray` for many machines.
        resume: go on with an unfinished output.
        force: overwrite an output that exists.
        on_error: `raise` at the end where images cannot be used, or `keep` them as rows without an answer.
        listener: hears how far it is.

    Returns:
        The answers; with `output` the report of what was written.

    Raises:
        UsageError: words that make no sense, no such model or image, an output that exists.
        DataError: images cannot be used, and they are not to be kept.
        ModelError: the model cannot be used.
        ResourceError, ProviderError: an engine or provider is not here, or the output cannot be written.
    """
    require_known(on_error, ON_ERROR, what="on_error")
    engine: dict[str, Any] = {"runtime": runtime, "provider": provider, "precision": precision, "threads": threads}
    engine |= {"allow_fallback": allow_fallback}
    allowed = {"allow_bf16": allow_bf16, "allow_int8": allow_int8}
    if runtime != AUTO_RUNTIME and any(allowed.values()):
        raise UsageError("--allow-bf16 and --allow-int8 are what --runtime auto may choose; give that, or --precision")
    path, told, paths = as_path(model, expected=MODEL), listener or Listener(), _as_paths(images)
    if paths is None:
        if output is not None:
            raise UsageError("output is for images that lie in files; save the arrays as .npy, or leave it out")
        find_model(path, store=ArtifactStore.default())
        if runtime == AUTO_RUNTIME:
            taken = _find_fastest(path, EngineChoice(**engine), batch=DEFAULT_BATCH, listener=told, **allowed)
            path, engine = taken.model, engine | {"runtime": taken.runtime, "precision": taken.precision}
        return _answer_here(path, images, on_error=on_error, fit=fit, polarity=polarity, **engine)
    config = PredictionConfig(
        model=path,
        inputs=paths,
        output=Path(output) if isinstance(output, str | os.PathLike) else None,
        form=format,
        force=force,
        resume=resume,
        engine=EngineChoice(**engine),
        settings=PrepareSettings(fit=fit, polarity=polarity),
        batch=_read_batch(batch),
        probabilities=probabilities,
        truths=_choose_truths(filename=labels_from_filename, folder=labels_from_folder),
        gallery=None if gallery is None else Path(gallery),
        executor=executor,
        processes=processes,
    )
    find_model(path, store=ArtifactStore.default())  # where the words make sense, its file has to be there
    if output is None:
        return _keep(config, on_error=on_error, listener=told, **allowed)
    return _write(config, output, on_error=on_error, listener=told, **allowed)


def _as_paths(images: Any) -> tuple[Path, ...] | None:
    """Return what was named, as paths; None where the images are given themselves."""
    given = images if isinstance(images, list | tuple) else [images]
    return tuple(map(Path, given)) if all(isinstance(item, str | os.PathLike) for item in given) else None


def _answer_here(
    model: Path, images: Any, *, on_error: Literal["raise", "keep"], fit: str, polarity: str, **engine: Any
) -> Prediction:
    from toolkit.prediction.classifier import Classifier

    with Classifier(model, fit=fit, polarity=polarity, **engine) as classifier:
        return classifier.predict(images, on_error=on_error)


def _find_fastest(
    model: Path, choice: EngineChoice, *, batch: int, listener: Listener, allow_bf16: bool, allow_int8: bool
) -> FastestEngine:
    from toolkit.onnx_file.source import ModelSource
    from toolkit.prediction.fastest import find_fastest

    source = ModelSource.read(model)
    with listener.progress("trying engines", unit="engines") as bar:
        return find_fastest(source, choice, batch=batch, allow_bf16=allow_bf16, allow_int8=allow_int8, progress=bar)


def _keep(config: PredictionConfig, *, on_error: str, **how: Any) -> Prediction:
    from toolkit.prediction.answers import AnswerKeeper, Prediction

    keeper = AnswerKeeper()
    report = _run(config, keeper=keeper, **how)
    answers = Prediction.of_blocks(keeper.blocks, classes=report.classes, provider=report.provider_active)
    if on_error == "raise":
        answers.raise_for_errors()
    return answers


def _write(config: PredictionConfig, output: PathLike | BinaryIO, *, on_error: str, **how: Any) -> PredictionReport:
    report = _run(config, stream=None if isinstance(output, str | os.PathLike) else output, **how)
    if on_error == "raise":
        report.raise_for_errors()
    return report


def _run(
    config: PredictionConfig, *, listener: Listener, allow_bf16: bool, allow_int8: bool, **where: Any
) -> PredictionReport:
    from toolkit.prediction.run import run_prediction

    taken = None
    if config.engine.runtime == AUTO_RUNTIME:
        if config.output is not None:
            from toolkit.prediction.sinks.target import require_free

            require_free(config.output, resume=config.resume, force=config.force)  # sooner than engines are tried
        batch = config.batch or DEFAULT_BATCH
        allowed = {"allow_bf16": allow_bf16, "allow_int8": allow_int8}
        taken = _find_fastest(config.model, config.engine, batch=batch, listener=listener, **allowed)
        engine = replace(config.engine, runtime=taken.runtime, precision=taken.precision)
        config = replace(config, model=taken.model, engine=engine)
    with listener.progress("predicting", unit="images") as bar:
        report = run_prediction(config, progress=heard_by(bar), **where)
    if taken is not None:
        report = replace(report, engines=taken.tried, notes=(*taken.describe(), *report.notes))
    for note in report.notes:
        listener.note(note)
    return report


def _read_batch(given: int | str) -> int:
    if given == "auto":
        return AUTO_BATCH
    try:
        batch = int(given)
    except ValueError as error:
        raise UsageError(f"--batch {given!r} is neither a whole number nor auto") from error
    if batch == AUTO_BATCH:
        raise UsageError(f"the batch is {batch}; expected 1 to 65536, or auto")
    return batch


def _choose_truths(*, filename: bool, folder: bool) -> str:
    if filename and folder:
        raise UsageError("--labels-from-filename and --labels-from-folder tell two truths; choose one")
    return FROM_FILENAME if filename else FROM_FOLDER if folder else ""
