"""Rows into one NumPy array of records: numbers only, as fast as they come."""

from __future__ import annotations

__all__ = ["NpySink", "record_dtype"]

import io
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from toolkit.errors import ResourceError
from toolkit.prediction.pipeline.blocks import AnsweredBlock
from toolkit.prediction.sinks.sink import Sink

STATUSES = {"ok": 0, "fallback": 1, "error": 2}
# The header's size does not depend on the number of rows, which is written into it at the end.
HEADER_BYTES = 512
MAGIC = b"\x93NUMPY\x01\x00"


def record_dtype(num_classes: int, *, truths: bool) -> np.dtype[np.void]:
    """Return the type of one row.

    `index` as in the CSV; `label` the class's number, -1 without an answer; `probability`, `margin` as in the CSV, NaN
    where that has none; `doubtful` 1 or 0, -1 without an answer; `status` 0 ok, 1 fallback, 2 error; `truth` the
    class's number, -1 where it is unknown; `probabilities` of every class where `num_classes` is over 0. Names and
    messages are not kept.
    """
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [
        ("index", "<i8"),
        ("label", "<i4"),
        ("probability", "<f4"),
        ("margin", "<f8"),
        ("doubtful", "|i1"),
        ("status", "<i4"),
    ]
    if truths:
        fields.append(("truth", "<i4"))
    if num_classes:
        fields.append(("probabilities", "<f4", (num_classes,)))
    return np.dtype(fields)


class NpySink(Sink):
    """Writes rows as records of `record_dtype`.

    Args:
        stream: binary, left open; its end is where rows go, its beginning is written again at the end.
        classes: one number for each in the field `probabilities`; none leaves it out.
        truths: add the field `truth`.
    """

    def __init__(self, stream: BinaryIO, *, classes: Sequence[str] = (), truths: bool = False) -> None:
        super().__init__(stream, classes=classes, truths=truths)
        self._dtype = record_dtype(len(classes), truths=truths)

    def begin(self) -> None:
        """Keep the place of the header."""
        self._stream.write(self._header(0))

    def write(self, answers: AnsweredBlock) -> None:
        """Write rows."""
        records = np.empty(answers.num_rows, self._dtype)
        records["index"] = answers.indices
        records["label"] = answers.labels
        records["probability"] = answers.probability
        records["margin"] = answers.margin
        records["doubtful"] = np.where(answers.labels < 0, -1, answers.doubtful)
        records["status"] = np.where(answers.labels < 0, STATUSES["error"], STATUSES[answers.status])
        names = self._dtype.names or ()
        if "truth" in names:
            numbers = {name: number for number, name in enumerate(answers.classes)}
            records["truth"] = [numbers.get(truth, -1) for truth in answers.truths]
        if "probabilities" in names:
            records["probabilities"] = answers.probabilities
        self._stream.write(records.tobytes())

    def finish(self) -> None:
        """Write the number of rows into the header."""
        end = self._stream.seek(0, io.SEEK_END)
        self._stream.seek(0)
        self._stream.write(self._header((end - HEADER_BYTES) // self._dtype.itemsize))
        self._stream.seek(end)

    def _header(self, num_rows: int) -> bytes:
        text = repr({"descr": self._dtype.descr, "fortran_order": False, "shape": (num_rows,)}).encode("latin1")
        room = HEADER_BYTES - len(MAGIC) - 2
        if len(text) >= room:
            raise ResourceError(f"the header of the array has {len(text)} bytes; the most is {room}")
        return MAGIC + room.to_bytes(2, "little") + text.ljust(room - 1) + b"\n"
