"""Model files in a row each, as the card beside them tells; no engine and no parser of models is loaded."""

from __future__ import annotations

__all__ = ["Accuracy", "ListedModel", "as_accuracy", "list_model", "read_card_beside", "time_of"]

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toolkit.artifacts import recording_beside
from toolkit.card import Card, card_beside
from toolkit.errors import ToolkitError
from toolkit.regular_file import read_regular

CARD_CAP_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """On test images.

    Attributes:
        value: the share labelled right.
        correct: how many were.
        count: of how many.
        ci95: its interval.
    """

    value: float
    correct: int
    count: int
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A model file.

    Attributes:
        name: of the file.
        path: the file.
        state: `done`, or `damaged` where no card tells of it.
        reason: what is wrong with its card.
        is_latest: whether commands fall back to it.
        accuracy: of this file, as its card has it.
        precision: `fp32`, `fp16` or `int8`.
        recipe: the name of how it was trained.
        data: the data set's name; empty for a module of a user's own.
        run: the run that holds its checkpoint; empty where none does any more.
        time: of the file, ISO 8601 in UTC.
        size_bytes: of the file.
    """

    name: str
    path: Path
    state: str
    reason: str = ""
    is_latest: bool = False
    accuracy: Accuracy | None = None
    precision: str = ""
    recipe: str = ""
    data: str = ""
    run: str = ""
    time: str
    size_bytes: int


def read_card_beside(model: Path) -> Card | str:
    """Return the card that lies beside a model, or what is wrong with it; empty where a module's export leaves none."""
    beside = card_beside(model)
    try:
        return Card.loads(read_regular(beside, most_bytes=CARD_CAP_BYTES))
    except (ToolkitError, ValueError) as error:
        if not beside.exists() and recording_beside(model).exists():
            return ""
        return f"no card beside it can be read ({error}); see what it is with: toolkit inspect {model}"


def list_model(path: Path, card: Card | str, *, run: Path | None, is_latest: bool) -> ListedModel:
    """Return the row of a model file.

    Args:
        path: the file.
        card: beside it, or what is wrong with that.
        run: the folder that holds its checkpoint; None where none does.
        is_latest: whether commands fall back to it.
    """
    seen: dict[str, Any] = {
        "name": path.name,
        "path": path,
        "is_latest": is_latest,
        "time": time_of(path),
        "size_bytes": path.stat().st_size,
    }
    if isinstance(card, str):
        return ListedModel(state="damaged" if card else "done", reason=card, **seen)
    told = card.test_accuracy
    return ListedModel(
        state="done",
        accuracy=None if told is None else as_accuracy({**told, "accuracy": told["value"]}, interval="ci95"),
        precision=card.precision,
        recipe=str(card.recipe.get("name", "")),
        data=str(card.data.get("name", "")),
        run="" if run is None else run.name,
        **seen,
    )


def as_accuracy(value: Any, *, interval: str) -> Accuracy | None:
    """Return what a report or a card says; None where that cannot be."""
    try:
        share, correct, count = value["accuracy"], value["correct"], value["count"]
        low, high = value[interval]
        if not (0 <= low <= share <= high <= 1 and 0 <= correct <= count):
            return None
        return Accuracy(value=share, correct=int(correct), count=int(count), ci95=(low, high))
    except (TypeError, KeyError, ValueError):
        return None


def time_of(*paths: Path) -> str:
    """Return when the first of these that is there was written."""
    for path in paths:
        try:
            written = path.stat().st_mtime
        except OSError:
            continue
        return datetime.fromtimestamp(written, UTC).isoformat(timespec="seconds")
    return ""
