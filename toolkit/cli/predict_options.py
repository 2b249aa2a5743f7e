"""What the words of `toolkit predict` mean together."""

from __future__ import annotations

__all__ = ["Request", "make_config", "split_inputs"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.artifacts import ArtifactStore
from toolkit.errors import UsageError
from toolkit.outputs import check_picture
from toolkit.prediction.config import AUTO_BATCH, PredictionConfig

STDOUT = Path("-")
ENDINGS = {"csv": ".csv", "jsonl": ".jsonl", "parquet": ".parquet", "npy": ".npy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Options whose meaning depends on others.

    Attributes:
        output: as typed; `-` is stdout.
        form: as typed.
        resume: go on with an unfinished output.
        batch: as typed: a number or `auto`.
        gallery: a PNG to draw, or None.
        as_json: the report goes to stdout.
    """

    output: Path | None
    form: str | None
    resume: bool
    batch: str
    gallery: Path | None
    as_json: bool

    def __post_init__(self) -> None:
        if self.to_stdout and self.as_json:
            raise UsageError("--output - and --json both want stdout; choose one")
        if self.to_stdout and self.resume:
            raise UsageError("--resume goes on with a file; it cannot with --output -")
        check_picture(self.gallery)

    @property
    def to_stdout(self) -> bool:
        """Whether rows go to stdout."""
        return self.output == STDOUT


def split_inputs(inputs: list[str]) -> tuple[Path | None, tuple[Path, ...]]:
    """Return the model, where one is named, and everything else.

    Raises:
        UsageError: more than one model.
    """
    models = [Path(text) for text in inputs if text.lower().endswith(".onnx")]
    images = tuple(Path(text) for text in inputs if not text.lower().endswith(".onnx"))
    if len(models) > 1:
        raise UsageError(f"{len(models)} models given ({', '.join(map(str, models))}); expected one")
    return (models[0] if models else None), images


def make_config(request: Request, store: ArtifactStore, *, model: Path, **others: Any) -> PredictionConfig:
    """Return the settings of a prediction.

    Raises:
        UsageError: they make no sense.
    """
    return PredictionConfig(
        model=model,
        output=_choose_output(request, store, model),
        form=request.form,
        resume=request.resume,
        batch=_read_batch(request.batch),
        gallery=request.gallery,
        **others,
    )


def _choose_output(request: Request, store: ArtifactStore, model: Path) -> Path | None:
    if request.to_stdout:
        return None
    if request.output is not None:
        return request.output
    if request.resume:
        from toolkit.prediction.unfinished import latest_unfinished

        return latest_unfinished(store.root / "predictions")
    return store.new_file("predictions", model.stem, ENDINGS.get(request.form or "csv", ".csv"))


def _read_batch(text: str) -> int:
    if text == "auto":
        return AUTO_BATCH
    try:
        batch = int(text)
    except ValueError as error:
        raise UsageError(f"--batch {text!r} is neither a whole number nor auto") from error
    if batch == AUTO_BATCH:
        raise UsageError(f"the batch is {batch}; expected 1 to 65536, or auto")
    return batch
