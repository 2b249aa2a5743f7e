"""Rows into JSON Lines."""

from __future__ import annotations

__all__ = ["JsonLinesSink"]

import json
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.prediction.blocks import Answers


class JsonLinesSink:
    """Writes one JSON object per row, UTF-8, with the CSV's columns as keys; what a row has not is null.

    Args:
        stream: binary, left open.
        classes: where it is not empty, `probabilities` is an object with one number for each.
        truths: add the key `truth`.
    """

    def __init__(self, stream: BinaryIO, *, classes: Sequence[str] = (), truths: bool = False) -> None:
        self._stream = stream
        self._classes = classes
        self._truths = truths

    def begin(self) -> None:
        """Write nothing: the first row stands first."""

    def write(self, answers: Answers) -> None:
        """Write rows."""
        lines = []
        for place, row in enumerate(answers.rows()):
            value = row.to_json()
            if not row.label:
                value["label"] = None
            if self._truths:
                value["truth"] = answers.truths[place] or None
            if self._classes:
                value["probabilities"] = dict(zip(self._classes, row.probabilities, strict=False)) or None
            lines.append(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
        self._stream.write("".join(lines).encode("utf-8", "backslashreplace"))

    def finish(self) -> None:
        """Write nothing: JSON Lines have no end of their own."""
