"""What runs on a cluster's machines: the inputs divided on one, a model that answers its parts on each worker."""

from __future__ import annotations

__all__ = ["Message", "ModelWorker", "as_batch", "describe_model", "divide_inputs"]

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from io import BytesIO
from itertools import groupby, repeat
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.errors import ToolkitError
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.open_model import DescribedModel, OpenedModel, open_model
from toolkit.prediction.pipeline.engine import Engine
from toolkit.prediction.pipeline.jobs import group_items, rows_per_job, skip_rows
from toolkit.prediction.pipeline.prepare_items import Preparation, prepare_items
from toolkit.prediction.sinks.unfinished import Progress
from toolkit.prediction.sources.items import PackedFile
from toolkit.prediction.sources.open import open_items, open_packed, walk_inputs

# What travels: what it is, and a value of that kind.
Message: TypeAlias = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message on its way, wrapped so that Arrow does not take it apart: Ray carries it as it is.

    Attributes:
        message: what travels.
    """

    message: Message


def divide_inputs(
    config: PredictionConfig, spec: InputSpec, *, stdin: bytes, outputs: tuple[Path, ...], progress: Progress
) -> Iterator[Message]:
    """Yield what one worker does at a time: the paths of some pictures, or one file that holds many.

    Nothing but folders is read here. Where an unfinished result is gone on with, everything is, and pictures travel.
    """
    notes, rows = list[str](), rows_per_job(config.batch, spec)
    told: dict[str, Any] = {"on_note": notes.append, "stdin": BytesIO(stdin), "outputs": outputs}
    try:
        entries: Iterator[Any] = walk_inputs(config.inputs, **told)
        if progress.rows:  # nobody knows which file the last row came from before it is met again
            entries = skip_rows(open_items(config.inputs, spec=spec, **told), progress.rows, last=progress.last)
        for is_packed, some in groupby(entries, lambda entry: isinstance(entry, PackedFile)):
            if is_packed:
                yield from zip(repeat("file"), some, strict=False)
            else:
                yield from zip(repeat("items"), group_items(some, rows), strict=False)
        yield from (("note", note) for note in notes)
    except ToolkitError as error:
        yield "error", error


class ModelWorker:
    """One model on one worker; opened with the first job, so that a failure travels like an answer.

    Args:
        source: the model; workers need not have its file.
        config: of the prediction.
    """

    def __init__(self, source: ModelSource, config: PredictionConfig) -> None:
        self._source, self._config = source, config
        self._opened: tuple[Engine, Preparation] | None = None

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Answer what `divide_inputs` sent, as Ray Data calls it."""
        for parcel in batch["parcel"]:
            yield from map(as_batch, self.answer(*parcel.message))

    def answer(self, kind: str, value: Any) -> Iterator[Message]:
        """Yield the answers of a part's rows, job by job; hand on what is no part."""
        if kind not in {"items", "file"}:
            yield kind, value
            return
        try:
            engine, preparation = self._opened = self._opened or self._open()
            notes: list[str] = []
            spec = preparation.spec
            items = open_packed(value, on_note=notes.append, spec=spec) if kind == "file" else value
            for job in group_items(items, rows_per_job(self._config.batch, spec)):
                block = prepare_items(job, preparation)
                yield "answers", (block if self._config.gallery else None, engine.answer(block))
            yield from (("note", note) for note in notes)
        except ToolkitError as error:
            yield "error", error

    def _open(self) -> tuple[Engine, Preparation]:
        opened, config = _open_model(self._source, self._config), self._config
        return Engine.of_model(opened, batch=config.batch), Preparation(
            spec=opened.card.input, settings=config.settings
        )


def _open_model(source: ModelSource, config: PredictionConfig) -> OpenedModel:
    """Open it as a worker does, which has one core, unless it is told otherwise."""
    return open_model(source, replace(config.engine, threads=config.engine.threads or 1), wishes=config.settings)


def describe_model(source: ModelSource, config: PredictionConfig) -> DescribedModel | ToolkitError:
    """Open the model as a worker does and return what is really running, or why it cannot."""
    try:
        opened = _open_model(source, config)
    except ToolkitError as error:
        return error
    with opened.runtime:
        return DescribedModel(**{field.name: getattr(opened, field.name) for field in fields(DescribedModel)})


def as_batch(message: Message) -> dict[str, npt.NDArray[Any]]:
    """Return what Ray Data sends: one row with one object."""
    column = np.empty(1, object)
    column[0] = Parcel(message)
    return {"parcel": column}
