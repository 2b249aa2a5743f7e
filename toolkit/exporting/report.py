"""What an export left."""

from __future__ import annotations

__all__ = ["ExportReport"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.card import Card, card_beside
from toolkit.evaluation.accuracy import AccuracyReport
from toolkit.exporting.cross_check import CrossCheck
from toolkit.exporting.int8_tries import Int8Report
from toolkit.plain import to_plain


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What an export left.

    Attributes:
        model: the `.onnx` file.
        sha256: its hash.
        size_bytes: its size.
        unchanged: whether exactly these bytes lay there before.
        operators: operator types in graph order.
        card: what the file says about itself.
        accuracy: of this file on the test images.
        max_abs_logit_error: seen while proving it.
        engine: what proved it.
        derived: files of other precisions made from this one.
        int8: how the int8 file was made, or why there is none; None where it was not asked for.
        cross_check: how the other exporter's file compares; None where it was not asked for.
        log: what the exporters printed.
        warnings: of the data, of a guard that is not there, and of an accuracy that chance would reach.
    """

    model: Path
    sha256: str
    size_bytes: int
    unchanged: bool
    operators: tuple[str, ...]
    card: Card
    accuracy: AccuracyReport
    max_abs_logit_error: float
    engine: str
    derived: tuple[ExportReport, ...] = ()
    int8: Int8Report | None = None
    cross_check: CrossCheck | None = None
    log: Path | None = None
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/export/1`."""
        return {
            "schema": "toolkit/export/1",
            "model": {"path": str(self.model), "sha256": self.sha256, "size_bytes": self.size_bytes},
            "card": str(card_beside(self.model)),
            "unchanged": self.unchanged,
            "operators": list(self.operators),
            "test_accuracy": self.card.test_accuracy,
            "bound": self.card.bound,
            "max_abs_logit_error": self.max_abs_logit_error,
            "proven_by": self.engine,
            "precision": self.card.precision,
            "derived": [item.to_json() for item in self.derived],
            "int8": None if self.int8 is None else self.int8.to_json(),
            "cross_check": to_plain(self.cross_check),
            "warnings": list(self.warnings),
            "log": None if self.log is None else str(self.log),
        }
