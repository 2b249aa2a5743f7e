"""Rows into text: CSV and JSON Lines."""

from __future__ import annotations

__all__ = ["CsvSink", "JsonLinesSink"]

import json
import re
from collections.abc import Callable, Sequence

from toolkit.prediction.pipeline.blocks import COLUMNS, TRUTH_COLUMN, AnsweredBlock
from toolkit.prediction.sinks.sink import Sink

# RFC 4180, and the carriage return: readers would split a row there.
_SPECIAL = re.compile('[",\r\n]')


class CsvSink(Sink):
    """Writes rows as UTF-8 CSV (RFC 4180, lines end in one newline).

    float32 values stand with the 9 digits that give them back exactly; `classes` are columns `p_<class>` after the
    fixed ones.
    """

    def begin(self) -> None:
        """Write the names of the columns."""
        truth = [TRUTH_COLUMN] if self._truths else []
        names = [*COLUMNS, *truth, *(f"p_{name}" for name in self._classes)]
        self._put([",".join(map(_quote, names))])

    def write(self, answers: AnsweredBlock) -> None:
        """Write rows."""
        lines = _lines(answers)
        for extra in self._extras(answers):
            lines = [f"{line},{text}" for line, text in zip(lines, extra, strict=True)]
        if lines:
            self._put(lines)

    def _extras(self, answers: AnsweredBlock) -> list[list[str]]:
        extras = []
        if self._truths:
            extras.append([_quote(text) for text in answers.truths])
        if self._classes:
            extras.append([_numbers(row) for row in answers.probabilities.tolist()])
        return extras

    def _put(self, lines: Sequence[str]) -> None:
        self._stream.write(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))


class JsonLinesSink(Sink):
    """Writes one JSON object per row, UTF-8, with the CSV's columns as keys; what a row has not is null.

    `probabilities` is an object with one number for each of `classes`.
    """

    def write(self, answers: AnsweredBlock) -> None:
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


def _lines(answers: AnsweredBlock) -> list[str]:
    quote = _remembering_quote()
    names = [quote(name) for name in answers.classes]
    good_ends = [f",{doubt},{answers.provider},{answers.status}," for doubt in ("false", "true")]
    bad_end = f",,,,{answers.provider},error,"
    messages = answers.messages
    columns = zip(
        answers.sources,
        answers.indices.tolist(),
        answers.labels.tolist(),
        answers.probability.tolist(),
        answers.margin.tolist(),
        answers.doubtful.tolist(),
        strict=True,
    )
    has_margin = len(names) > 1
    lines = []
    for place, (source, index, label, probability, margin, is_doubtful) in enumerate(columns):
        message = quote(messages[place]) if place in messages else ""
        if label < 0:
            lines.append(f"{quote(source)},{index},{bad_end}{message}")
        else:
            number = f"{margin:.9g}" if has_margin else ""
            end = good_ends[is_doubtful] + message
            lines.append(f"{quote(source)},{index},{names[label]},{probability:.9g},{number}{end}")
    return lines


def _remembering_quote() -> Callable[[str], str]:
    """Return `_quote` that knows the last text: an array's rows all come from one source."""
    last = quoted = ""

    def quote(text: str) -> str:
        nonlocal last, quoted
        if text is not last:
            last, quoted = text, _quote(text)
        return quoted

    return quote


def _quote(text: str) -> str:
    if _SPECIAL.search(text) is None:
        return text
    escaped = text.replace('"', '""')
    return f'"{escaped}"'


def _numbers(row: Sequence[float]) -> str:
    is_empty = row[0] != row[0]  # NaN: an error row
    return "," * (len(row) - 1) if is_empty else ",".join([f"{value:.9g}" for value in row])
