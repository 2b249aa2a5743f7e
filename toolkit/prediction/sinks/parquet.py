"""Rows into Parquet: Arrow's batches while they come, which a killed run can go on with, written anew at the end."""

from __future__ import annotations

__all__ = ["ParquetSink"]

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from toolkit.prediction.pipeline.blocks import AnsweredBlock
from toolkit.prediction.sinks.sink import Rewrite, Sink
from toolkit.programs import import_extra

ROWS_IN_A_GROUP = 65_536


class ParquetSink(Sink):
    """Writes rows as Parquet with the CSV's columns; what a row has not is null.

    The stream holds Arrow record batches without the schema message, one after the other: a file that is gone on with.

    Args:
        stream: binary, readable and seekable, left open.
        classes: one column `p_<class>` for each; none where it is empty.
        truths: add the column `truth`.

    Raises:
        ResourceError: pyarrow is not installed.
    """

    def __init__(self, stream: BinaryIO, *, classes: Sequence[str] = (), truths: bool = False) -> None:
        super().__init__(stream, classes=classes, truths=truths)
        self._parquet: Any = import_extra("pyarrow.parquet", extra="parquet", user="Parquet")
        self._arrow: Any = import_extra("pyarrow", extra="parquet", user="Parquet")
        self._schema = self._make_schema()

    def write(self, answers: AnsweredBlock) -> None:
        """Write rows."""
        batch = self._arrow.record_batch(self._columns(answers), schema=self._schema)
        self._stream.write(batch.serialize())

    def finish(self) -> Rewrite:
        """Write nothing; what is returned makes Parquet of the Arrow batches and leaves them as they are."""
        return self._rewrite

    def _rewrite(self, whole: BinaryIO) -> None:
        with self._parquet.ParquetWriter(whole, self._schema, compression="zstd") as writer:
            for table in self._tables():
                writer.write_table(table, row_group_size=ROWS_IN_A_GROUP)

    def _tables(self) -> Iterator[Any]:
        """Yield tables of about one row group each."""
        self._stream.seek(0)
        reader = self._arrow.ipc.MessageReader.open_stream(self._arrow.PythonFile(self._stream, mode="r"))
        waiting: list[Any] = []
        num_rows = 0
        for message in reader:
            waiting.append(self._arrow.ipc.read_record_batch(message, self._schema))
            num_rows += waiting[-1].num_rows
            if num_rows >= ROWS_IN_A_GROUP:
                yield self._arrow.Table.from_batches(waiting)
                waiting, num_rows = [], 0
        if waiting:
            yield self._arrow.Table.from_batches(waiting)

    def _make_schema(self) -> Any:
        arrow = self._arrow
        fields = [
            ("source", arrow.string()),
            ("index", arrow.int64()),
            ("label", arrow.string()),
            ("probability", arrow.float32()),
            ("margin", arrow.float64()),
            ("doubtful", arrow.bool_()),
            ("provider", arrow.string()),
            ("status", arrow.string()),
            ("message", arrow.string()),
        ]
        if self._truths:
            fields.append(("truth", arrow.string()))
        fields += [(f"p_{name}", arrow.float32()) for name in self._classes]
        return arrow.schema(fields)

    def _columns(self, answers: AnsweredBlock) -> list[Any]:
        arrow, count = self._arrow, answers.num_rows
        is_error = answers.labels < 0
        labels = arrow.array(list(answers.classes)).take(arrow.array(answers.labels, mask=is_error))
        statuses = arrow.array([answers.status, "error"]).take(arrow.array(is_error.astype(np.int8)))
        columns = [
            self._texts(answers.sources),
            arrow.array(answers.indices),
            labels,
            arrow.array(answers.probability, from_pandas=True),
            arrow.array(answers.margin, from_pandas=True),
            arrow.array(answers.doubtful, mask=is_error),
            arrow.repeat(answers.provider, count),
            statuses,
            self._texts(
                [answers.messages.get(place, "") for place in range(count)] if answers.messages else [""] * count
            ),
        ]
        if self._truths:
            columns.append(arrow.array([truth or None for truth in answers.truths], arrow.string()))
        columns += [arrow.array(values, from_pandas=True) for values in answers.probabilities.T[: len(self._classes)]]
        return columns

    def _texts(self, texts: Sequence[str]) -> Any:
        if texts and list(texts).count(texts[0]) == len(texts):  # an array's rows come from one file
            return self._arrow.repeat(_valid(texts[:1])[0], len(texts))
        return self._arrow.array(_valid(texts), self._arrow.string())


def _valid(texts: Sequence[str]) -> list[str]:
    r"""Return texts that UTF-8 can hold; what it cannot is written as `\udcXX`."""
    return [text if text.isascii() else text.encode("utf-8", "backslashreplace").decode() for text in texts]
