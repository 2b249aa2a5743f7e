"""What a prediction did, in counts and a short look at its rows."""

from __future__ import annotations

__all__ = ["SCHEMA", "PredictionReport"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import DataError
from toolkit.intervals import wilson_interval
from toolkit.plain import to_plain
from toolkit.prediction.gallery import GalleryPicture
from toolkit.prediction.pipeline.blocks import Row
from toolkit.regular_file import printable_name

SCHEMA = "toolkit/predictions/1"
# By the names of the fields.
TOLD = (
    *("first_error", "runtime", "runtime_version", "precision", "provider_requested", "provider_active", "fallback"),
    *("fallback_reason", "batch", "processes", "seconds", "notes", "preview"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionReport:
    """Counts, places and the first rows; all rows are in the CSV.

    Attributes:
        model: the model file.
        model_sha256: hash of the bytes that ran.
        num_ok: rows with an answer.
        num_errors: rows without one.
        num_doubtful: rows with an answer that the guard doubts; their messages say why.
        num_resumed: of both, rows that an earlier run had written.
        num_truths: rows whose file's name tells their class; None where nobody asked.
        num_right: of those, rows answered with it.
        runtime: the engine that ran.
        runtime_version: its version.
        precision: arithmetic that was asked for.
        provider_requested: the provider asked for.
        provider_active: the provider that ran.
        fallback: whether that is not what was asked for.
        fallback_reason: why, where it is so.
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
    num_ok: int
    num_errors: int
    num_doubtful: int = 0
    num_resumed: int = 0
    num_truths: int | None = None
    num_right: int = 0
    runtime: str
    runtime_version: str
    precision: str
    provider_requested: str
    provider_active: str
    fallback: bool
    fallback_reason: str
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
        """`correct` of `count` rows whose name tells their class, `accuracy` with `ci95` (Wilson); None unasked."""
        if not self.num_truths:
            return None if self.num_truths is None else {"count": 0, "correct": 0, "accuracy": None, "ci95": None}
        return {
            "count": self.num_truths,
            "correct": self.num_right,
            "accuracy": self.num_right / self.num_truths,
            "ci95": list(wilson_interval(self.num_right, self.num_truths)),
        }

    def raise_for_errors(self) -> None:
        """Turn error rows into the command's end; the CSV holds every row by then.

        Raises:
            DataError: at least one row has no answer; names how many and the first reason.
        """
        if self.num_errors:
            count = self.num_ok + self.num_errors
            raise DataError(f"{self.num_errors} of {count} rows have no prediction; the first: {self.first_error}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, `schema` first; `preview` holds the first rows, the CSV holds all."""
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
