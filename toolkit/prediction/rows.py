"""One answer as a row."""

from __future__ import annotations

__all__ = ["COLUMNS", "TRUTH_COLUMN", "Row", "Status"]

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "fallback", "error"]

# The columns of the CSV, in order; a contract.
COLUMNS = ("source", "index", "label", "probability", "margin", "provider", "status", "message")
# Stands after them where labels were told by the files' names.
TRUTH_COLUMN = "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One answer.

    Attributes:
        source: what it comes from, as text that every terminal and every CSV reader can take.
        index: its position inside the source, from 0.
        label: name of the class; empty in an error row.
        probability: of that class, 0 to 1; None in an error row.
        margin: the runtime's own largest logit minus its second largest; None in an error row or with one class.
        provider: the provider that is active.
        status: `ok`, `fallback` (answered, but not by the provider asked for) or `error`.
        message: what was done to the image, or why there is no answer.
        probabilities: of every class, in the card's order; empty in an error row.
    """

    source: str
    index: int
    label: str = ""
    probability: float | None = None
    margin: float | None = None
    provider: str
    status: Status
    message: str = ""
    probabilities: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the CSV's columns as plain JSON values."""
        return {name: getattr(self, name) for name in COLUMNS}
