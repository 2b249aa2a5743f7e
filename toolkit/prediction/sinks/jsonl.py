"""Rows into JSON Lines."""

from __future__ import annotations

__all__ = ["JsonLinesSink"]

import json

from toolkit.prediction.pipeline.blocks import Answers
from toolkit.prediction.sinks.sink import Sink


class JsonLinesSink(Sink):
    """Writes one JSON object per row, UTF-8, with the CSV's columns as keys; what a row has not is null.

    `probabilities` is an object with one number for each of `classes`.
    """

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
