"""What a prediction did: counts, a short look at its rows and at its least sure pictures; and what collects them."""

from __future__ import annotations

__all__ = ["PREVIEW_ROWS", "SCHEMA", "GalleryPicker", "GalleryPicture", "PredictionReport", "Tally", "TriedEngine"]

import heapq
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.counts import count_of
from toolkit.errors import DataError
from toolkit.intervals import wilson_interval
from toolkit.plain import to_plain
from toolkit.prediction.pipeline.blocks import AnsweredBlock, Block, Row
from toolkit.prediction.sinks.target import Progress
from toolkit.regular_file import printable_name
from toolkit.telling.summary import Summarised, Summary, number_facts

SCHEMA = "toolkit/predictions/1"
# By the names of the fields.
TOLD = (
    *("first_error", "runtime", "runtime_version", "precision", "provider_requested", "provider_active", "fallback"),
    *("fallback_reason", "engines", "batch", "processes", "seconds", "notes", "preview"),
)
PREVIEW_ROWS = 20
MOST_PICTURES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedEngine:
    """An engine that was tried.

    Attributes:
        runtime: its name in the registry.
        precision: what it computes in; `int8` where it runs the quantised file.
        images_per_s: of the engine alone, with all cores; None where it was left out.
        reason: why it was left out; "" where it was not.
    """

    runtime: str
    precision: str
    images_per_s: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PredictionReport(Summarised):
    """Counts, places and the first rows; all rows are in the CSV.

    Attributes:
        model: the model file.
        model_sha256: hash of the bytes that ran.
        classes: the model's class names.
        num_ok: rows with an answer.
        num_errors: rows without one.
        num_doubtful: rows with an answer that the guard doubts; their messages say why.
        num_resumed: of both, rows that an earlier run had written.
        truths: what tells a row's class, `filename` or `folder`; "" where nobody asked.
        num_truths: rows whose class is told; None where nobody asked.
        num_right: of those, rows answered with it.
        runtime: the engine that ran.
        runtime_version: its version.
        precision: arithmetic that was asked for.
        provider_requested: the provider asked for.
        provider_active: the provider that ran.
        device: what WebGPU computed on: `adapter`, `driver`, `backend`, `software`.
        fallback: whether that is not what was asked for.
        fallback_reason: why, where it is so.
        engines: what `--runtime auto` tried, the fastest first; empty where an engine was named.
        batch: images in one call.
        processes: decoder processes that were started.
        seconds: wall time from the first input's opening to the last row's writing.
        output: the CSV; None where it went to a stream.
        preview: the first rows of this run, at most 20.
        gallery: pictures to show, least sure first; empty where nobody asked.
        first_error: message of the first row without an answer; empty where all have one.
        notes: what was left out or tried in vain, one sentence each.
    """

    model: Path
    model_sha256: str
    classes: tuple[str, ...] = ()
    num_ok: int
    num_errors: int
    num_doubtful: int = 0
    num_resumed: int = 0
    truths: str = ""
    num_truths: int | None = None
    num_right: int = 0
    runtime: str
    runtime_version: str
    precision: str
    provider_requested: str
    provider_active: str
    device: dict[str, Any] = field(default_factory=dict)
    fallback: bool
    fallback_reason: str
    engines: tuple[TriedEngine, ...] = ()
    batch: int
    processes: int = 0
    seconds: float
    output: Path | None
    preview: tuple[Row, ...]
    gallery: tuple[GalleryPicture, ...] = ()
    first_error: str
    notes: tuple[str, ...] = ()

    @property
    def images_per_s(self) -> float | None:
        """This run's rows per second of wall time, reading and decoding included; None where there was no row."""
        count = self.num_ok + self.num_errors - self.num_resumed
        return count / self.seconds if count and self.seconds > 0 else None

    @property
    def score(self) -> dict[str, Any] | None:
        """`correct` of `count` rows whose class is told, `accuracy` with `ci95` (Wilson); None where nobody asked."""
        if self.num_truths is None:
            return None
        told: dict[str, Any] = {"labels_from": self.truths}
        if not self.num_truths:
            return {**told, "count": 0, "correct": 0, "accuracy": None, "ci95": None}
        return {
            **told,
            "count": self.num_truths,
            "correct": self.num_right,
            "accuracy": self.num_right / self.num_truths,
            "ci95": list(wilson_interval(self.num_right, self.num_truths)),
        }

    def summarise(self) -> Summary:
        """Return the counts and the first rows."""
        facts: dict[str, object] = {"model": self.model, "rows in": "a stream" if self.output is None else self.output}
        if (score := self.score) is not None and score["count"]:
            right = f"{score['correct']:,} of {score['count']:,} right"
            facts[f"labels from {self.truths}"] = f"{right}, {100 * score['accuracy']:.2f} %"
        facts |= number_facts("note", self.notes)
        count = self.num_ok + self.num_errors
        parts = [count_of(count, "row"), f"by {self.runtime} on {self.provider_active}"]
        parts += [f"{self.num_doubtful:,} doubtful"] if self.num_doubtful else []
        parts += [f"{self.num_errors:,} without an answer: {self.first_error}"] if self.num_errors else []
        columns = ("source", "index", "label", "probability", "message")
        rows = [tuple(getattr(row, name) for name in columns) for row in self.preview]
        return Summary(", ".join(parts), facts, rows, columns, count)

    def raise_for_errors(self) -> None:
        """Turn error rows into the command's end; the CSV holds every row by then.

        Raises:
            DataError: at least one row has no answer; names how many and the first reason.
        """
        if self.num_errors:
            rows = count_of(self.num_ok + self.num_errors, "row")
            have = "has" if self.num_errors == 1 else "have"
            raise DataError(f"{self.num_errors} of {rows} {have} no prediction; the first: {self.first_error}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, `schema` first; `preview` holds the first rows, the CSV holds all.

        Keys:
            model: `path` and `sha256` of the file that ran.
            count: rows.
            ok: rows with an answer.
            errors: rows without one; `first_error` says why the first of them has none.
            doubtful: rows with an answer that is doubted; their messages say why.
            resumed: rows that an earlier, ended run had written.
            score: `correct` of `count` rows whose class is told, `accuracy`, `ci95`; null where nobody asked.
        """
        return {
            "schema": SCHEMA,
            "model": {"path": printable_name(str(self.model)), "sha256": self.model_sha256},
            "count": self.num_ok + self.num_errors,
            "ok": self.num_ok,
            "errors": self.num_errors,
            "doubtful": self.num_doubtful,
            "resumed": self.num_resumed,
            "score": self.score,
            **to_plain({name: getattr(self, name) for name in TOLD}),
            "images_per_s": self.images_per_s,
            "output": None if self.output is None else printable_name(str(self.output)),
        }


class Tally:
    """Counts rows and keeps the first ones.

    Args:
        done: rows of an earlier run.
    """

    def __init__(self, done: Progress) -> None:
        self.progress = done
        self.preview: list[Row] = []
        self.first_error = ""

    def count(self, answers: AnsweredBlock) -> None:
        """Count rows."""
        done, errors = self.progress, answers.num_errors
        truths, right = _score(answers)
        self.progress = Progress(
            rows=done.rows + answers.num_rows,
            errors=done.errors + errors,
            doubtful=done.doubtful + int(answers.doubtful.sum()),
            truths=done.truths + truths,
            right=done.right + right,
            last=(answers.sources[-1], int(answers.indices[-1])) if answers.num_rows else done.last,
        )
        self.preview += answers.rows(PREVIEW_ROWS - len(self.preview))
        if errors and not self.first_error:
            self.first_error = answers.messages.get(int(np.flatnonzero(answers.labels < 0)[0]), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryPicture:
    """One picture as the model saw it, with its answer.

    Attributes:
        source: as in the row.
        index: as in the row.
        image: uint8 `[H, W]` or `[H, W, 3]`.
        label: the answer.
        probability: of that label, 0 to 1.
        truth: the class that is told; "" where it tells nothing.
    """

    source: str
    index: int
    image: npt.NDArray[np.uint8]
    label: str
    probability: float
    truth: str = ""


class GalleryPicker:
    """Keeps the least sure pictures of all that it sees, at most 100."""

    def __init__(self, most: int = MOST_PICTURES) -> None:
        self._most = most
        self._heap: list[tuple[float, int, GalleryPicture]] = []
        self._seen = 0

    def see(self, block: Block, answers: AnsweredBlock) -> None:
        """Look at a block's pictures."""
        probability = answers.probability[block.places]
        order = np.argsort(probability, kind="stable")[: self._most]
        for number in order.tolist():
            value = float(probability[number])
            if np.isnan(value) or (len(self._heap) == self._most and value >= -self._heap[0][0]):
                break
            self._keep(value, _picture(block, answers, number=number))

    def pick(self) -> list[GalleryPicture]:
        """Return the pictures, least sure first."""
        return [picture for _, _, picture in sorted(self._heap, reverse=True)]

    def _keep(self, probability: float, picture: GalleryPicture) -> None:
        self._seen += 1
        # A heap's first is its smallest: the surest one, which is the next to go.
        entry = (-probability, -self._seen, picture)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heapreplace(self._heap, entry)


def _score(answers: AnsweredBlock) -> tuple[int, int]:
    """Return how many rows have a true label, and how many of those are answered with it."""
    numbers = {name: number for number, name in enumerate(answers.classes)}
    told = np.array([numbers.get(truth, -2) for truth in answers.truths], np.int64)
    return int((told >= 0).sum()), int((told == answers.labels[: len(told)]).sum())


def _picture(block: Block, answers: AnsweredBlock, *, number: int) -> GalleryPicture:
    place = int(block.places[number])
    return GalleryPicture(
        source=answers.sources[place],
        index=int(answers.indices[place]),
        image=block.images[number].copy(),
        label=answers.classes[answers.labels[place]],
        probability=float(answers.probability[place]),
        truth=answers.truths[place] if answers.truths else "",
    )
