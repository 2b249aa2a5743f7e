"""What goes in and what comes out: one sample, one row."""

from __future__ import annotations

__all__ = ["COLUMNS", "Row", "Sample", "Status"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Status = Literal["ok", "fallback", "error"]

# The columns of the CSV, in order; a contract.
COLUMNS = ("source", "index", "label", "probability", "margin", "provider", "status", "message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image on its way to the model, or the reason why it cannot get there.

    Attributes:
        source: the file that it comes from, as text that every terminal and every CSV reader can take.
        index: its position inside the source, from 0.
        image: uint8 of the model's input shape; None where it could not be had.
        message: what was done to the image; the reason where there is none.
    """

    source: str
    index: int
    image: npt.NDArray[np.uint8] | None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One answer.

    Attributes:
        source: as in the sample.
        index: as in the sample.
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
