"""What runs on a cluster's machines: the sources read on one, the model on each worker; frames travel between them."""

from __future__ import annotations

__all__ = [
    "BODY",
    "KIND",
    "ModelWorker",
    "ReadRequest",
    "RunRequest",
    "describe_model",
    "make_run_request",
    "raise_sent",
    "read_jobs",
]

import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit import errors
from toolkit.errors import ToolkitError
from toolkit.imaging.settings import PrepareSettings
from toolkit.plain import to_plain
from toolkit.prediction.config import EngineChoice
from toolkit.prediction.crossing import read_items, write_answers, write_items
from toolkit.prediction.engine import Engine
from toolkit.prediction.jobs import group_items, skip_rows
from toolkit.prediction.open_items import open_items
from toolkit.prediction.open_model import OpenedModel, open_model
from toolkit.prediction.prepare_items import Preparation, prepare_items
from toolkit.runtimes.frames import read_frame, write_frame
from toolkit.runtimes.source import ModelSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.card import InputSpec
    from toolkit.prediction.config import PredictionConfig

# The columns of what travels: one row is one frame.
KIND, BODY = "kind", "body"
Frame = tuple[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """What is to be read.

    Attributes:
        inputs: as a prediction's.
        stdin: what standard input held; workers have none.
        rows: rows of a job.
        done: rows of an earlier run, and the last of them.
        outputs: files that are going to be replaced.
        spec: what the model takes.
    """

    inputs: tuple[Path, ...]
    stdin: bytes
    rows: int
    done: tuple[int, tuple[str, int] | None]
    outputs: tuple[Path, ...] = ()
    spec: InputSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What every worker opens.

    Attributes:
        model: the file's bytes; workers need not have the file.
        path: its name in messages.
        choice: what is to run it.
        settings: how pictures are brought to it.
        batch: images in one call.
        with_images: send the prepared pictures back too.
    """

    model: bytes
    path: Path
    choice: EngineChoice
    settings: PrepareSettings
    batch: int
    with_images: bool


def make_run_request(source: ModelSource, config: PredictionConfig) -> RunRequest:
    """Return what a prediction's workers open; each has one core, unless it is told otherwise."""
    return RunRequest(
        model=source.model,
        path=source.path,
        choice=replace(config.engine, threads=config.threads or 1),
        settings=config.settings,
        batch=config.batch,
        with_images=config.gallery is not None,
    )


def read_jobs(request: ReadRequest) -> Iterator[Frame]:
    """Yield a frame for every job, in order, and one for every note; an error is the last one."""
    notes: list[str] = []
    try:
        items = open_items(
            request.inputs,
            on_note=notes.append,
            stdin=io.BytesIO(request.stdin),
            outputs=request.outputs,
            spec=request.spec,
        )
        count, last = request.done
        if count:
            items = skip_rows(items, count, last=last)
        for job in group_items(items, request.rows):
            stream = io.BytesIO()
            write_items(stream, job)
            yield "job", stream.getvalue()
            yield from _notes(notes)
        yield from _notes(notes)
    except ToolkitError as error:
        yield _error(error)


class ModelWorker:
    """One model on one worker; opened with the first job, so that a failure travels like an answer.

    Args:
        request: what to open.
    """

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._engine: Engine | None = None
        self._preparation: Preparation | None = None

    def answer(self, kind: str, body: bytes) -> Frame:
        """Answer a job's frame; any other is handed on."""
        if kind != "job":
            return kind, body
        try:
            if self._engine is None or self._preparation is None:
                self._engine, self._preparation = self._open()
            block = prepare_items(read_items(io.BytesIO(body)), self._preparation)
            answers = self._engine.answer(block)
        except ToolkitError as error:
            return _error(error)
        stream = io.BytesIO()
        write_answers(stream, answers, block.images if self._request.with_images else None)
        if self._request.with_images:
            write_frame(stream, {}, {"places": block.places})
        return "answers", stream.getvalue()

    def _open(self) -> tuple[Engine, Preparation]:
        request, opened = self._request, _open(self._request)
        info, card = opened.runtime.info, opened.card
        engine = Engine(
            opened.runtime, card, batch=request.batch, provider=info.provider_active, fallback=info.fallback
        )
        return engine, Preparation(spec=card.input, settings=request.settings)


def describe_model(request: RunRequest) -> Frame:
    """Open the model as a worker does and say what is really running."""
    try:
        opened = _open(request)
    except ToolkitError as error:
        return _error(error)
    with opened.runtime:
        stream = io.BytesIO()
        write_frame(
            stream,
            {
                "info": to_plain(opened.runtime.info),
                "settings": asdict(opened.settings),
                "notes": list(opened.notes),
            },
        )
        return "info", stream.getvalue()


def raise_sent(body: bytes) -> None:
    """Raise the error that a worker sent."""
    frame = read_frame(io.BytesIO(body))
    assert frame is not None
    kind = getattr(errors, frame[0]["error"], ToolkitError)
    raise kind(frame[0]["text"])


def _open(request: RunRequest) -> OpenedModel:
    return open_model(ModelSource.in_memory(request.model, request.path), request.choice, wishes=request.settings)


def _notes(notes: list[str]) -> Iterator[Frame]:
    while notes:
        yield "note", notes.pop(0).encode()


def _error(error: ToolkitError) -> Frame:
    stream = io.BytesIO()
    write_frame(stream, {"error": type(error).__name__, "text": str(error)})
    return "error", stream.getvalue()
