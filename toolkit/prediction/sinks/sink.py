"""Where rows go: one sink per format, each writing to a binary stream as the answers come."""

from __future__ import annotations

__all__ = ["FORMATS", "Rewrite", "Sink", "choose_format", "open_sink"]

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import UsageError, require_known
from toolkit.prediction.pipeline.blocks import AnsweredBlock

# Module and class of each: only the one that is written is loaded.
_SINKS = {
    "csv": ("text", "CsvSink"),
    "jsonl": ("text", "JsonLinesSink"),
    "parquet": ("parquet", "ParquetSink"),
    "npy": ("npy", "NpySink"),
}
FORMATS = tuple(_SINKS)
_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".npy": "npy"}
# Writes the whole file to another stream.
Rewrite = Callable[[BinaryIO], None]
# Their files begin or end with what is known only when all rows are written.
_NEED_A_FILE = ("parquet", "npy")


class Sink:
    """Writes rows; whatever `write` was given is in the stream when it returns, but for the stream's own buffer.

    Args:
        stream: binary, left open; `parquet` and `npy` also read it and move in it.
        classes: where it is not empty, every class's probability is written too.
        truths: write the class that is told of each row, too.
    """

    def __init__(self, stream: BinaryIO, *, classes: Sequence[str] = (), truths: bool = False) -> None:
        self._stream = stream
        self._classes = tuple(classes)
        self._truths = truths

    def begin(self) -> None:
        """Write what stands before the first row: nothing, where a format has no such thing."""

    def write(self, answers: AnsweredBlock) -> None:
        """Write rows."""
        raise NotImplementedError

    def finish(self) -> Rewrite | None:
        """Write what stands after the last row; return how the file is made where these bytes are not yet its own."""
        return None


def choose_format(name: str | None, output: Path | None) -> str:
    """Return a format by its name, else by the output's ending, else `csv`.

    Raises:
        UsageError: the name is unknown, or the format cannot go to a stream.
    """
    if name is not None:
        require_known(name, FORMATS, what="format")
    chosen = name or (_ENDINGS.get(output.suffix.lower(), "csv") if output is not None else "csv")
    if output is None and chosen in _NEED_A_FILE:
        raise UsageError(f"{chosen} needs a file; give --output FILE, or csv or jsonl for stdout")
    return chosen


def open_sink(form: str, stream: BinaryIO, *, classes: Sequence[str], probabilities: bool, truths: bool) -> Sink:
    """Return a sink.

    Args:
        form: one of `FORMATS`.
        stream: binary, left open; `parquet` and `npy` also read it and move in it.
        classes: names of the model's classes.
        probabilities: add one column per class.
        truths: add the column `truth`.

    Raises:
        ResourceError: the format's package is not installed.
    """
    module, name = _SINKS[form]
    kind: type[Sink] = getattr(import_module(f"toolkit.prediction.sinks.{module}"), name)
    return kind(stream, classes=classes if probabilities else (), truths=truths)
