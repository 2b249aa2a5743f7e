"""What an export left: its files, how another exporter's file compares, how the int8 file was made or why not."""

from __future__ import annotations

__all__ = ["CrossCheck", "ExportReport", "Int8Report", "Int8Try"]

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from toolkit.card import Card, card_beside
from toolkit.counts import count_of
from toolkit.data.dataset import Dataset
from toolkit.evaluation.accuracy import AccuracyReport
from toolkit.exporters import Int8Setting
from toolkit.exporting.int8_gate import Int8Gate
from toolkit.exporting.kits.kits import WrittenKits
from toolkit.plain import to_plain
from toolkit.telling.summary import Summarised, Summary, number_facts


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExportReport(Summarised):
    """What an export left. As a path it is the model's file.

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
        kits: which kits were written of the file; None where none was asked for.
        command: what repeats it.
        data: what it was trained on, where that lies in no file; None else.
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
    kits: WrittenKits | None = None
    command: str = ""
    data: Dataset | None = field(default=None, compare=False)

    def __fspath__(self) -> str:
        return str(self.model)

    def summarise(self) -> Summary:
        """Return the file, what proved it, and its accuracy."""
        facts: dict[str, object] = {
            "size": f"{self.size_bytes / 1e6:.2f} MB, {count_of(len(self.operators), 'node')}, {self.card.precision}",
            "proven by": f"{self.engine}: largest logit error {self.max_abs_logit_error:.2g}, "
            f"bound {self.card.bound['logits']:.2g}",
            "test accuracy": self.accuracy.describe(),
        }
        facts |= {item.card.precision: f"{item.model}, {item.accuracy.describe()}" for item in self.derived}
        if self.int8 is not None and not self.int8.passed:
            facts["no int8"] = "; ".join(self.int8.failures)
        facts |= {f"kit {kit.kit}": kit.folder for kit in (self.kits.kits if self.kits else ())}
        facts |= number_facts("warning", self.warnings)
        return Summary(f"{self.model} {'unchanged' if self.unchanged else 'written'}", facts)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/export/1`.

        Keys:
            model: the file's `path`, `sha256` and `size_bytes`.
            card: path of its card.
            test_accuracy: `value`, `correct`, `count` and `ci95` of this file on the test images.
            bound: `logits`, the largest error that rounding explains, and its `formula`.
            proven_by: the engine that ran it before it was put in place.
            precision: `fp32`, `fp16` or `int8`.
            derived: the same of each file of another precision made from this one.
        """
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
            **({"command": self.command} if self.command else {}),
            **(to_plain(self.kits) if self.kits else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """How the files of two exporters compare.

    Attributes:
        exporters: both, the file's own first.
        images: how many were compared, all of them in large batches and the first ones in small ones.
        split: what the images were to the run: `validation`, or `training` where it held none out.
        batch_sizes: the small ones.
        bound: largest logit error that rounding explains.
        max_abs_logit_errors: of each file, against the float64 reference.
        max_abs_difference: between the files.
        labels_differing: answers whose labels differ (an image counts once for each batch that it was in), each
            explained by a reference margin under twice the bound.
        operators: nodes of each graph.
    """

    exporters: tuple[str, str]
    images: int
    split: str
    batch_sizes: tuple[int, ...]
    bound: float
    max_abs_logit_errors: tuple[float, float]
    max_abs_difference: float
    labels_differing: int
    operators: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Report:
    """The table of tries with the gate.

    Attributes:
        model: `path` and `sha256` of the float32 file.
        output: where the int8 file lies, or would.
        calibration: `images` and `seed`.
        ranking: `images` that ranked the tries, and `split`, what they were to the run.
        tries: one row for each setting.
        gate: what the test images said; None where no try came so far.
        failures: why there is no file; empty where there is one.
    """

    model: dict[str, Any]
    output: Path
    calibration: dict[str, int]
    ranking: dict[str, Any]
    tries: tuple[Int8Try, ...] = ()
    gate: Int8Gate | None = None
    failures: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the file was kept."""
        return not self.failures

    @property
    def chosen(self) -> Int8Try | None:
        """The try that was looked at on the test images."""
        return next((item for item in self.tries if item.status == "chosen"), None)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/int8/1`, without command and environment.

        Keys:
            rows: the tries: one for each setting; keys as in `Int8Try`.
        """
        return {
            "schema": "toolkit/int8/1",
            "passed": self.passed,
            "model": self.model,
            "output": str(self.output),
            "calibration": self.calibration,
            "ranking": self.ranking,
            "gate": None if self.gate is None else self.gate.to_json(),
            "failures": list(self.failures),
            "rows": [item.to_json() for item in self.tries],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Try:
    """One setting and what it gave on those images.

    Attributes:
        name: of the setting.
        setting: how it was quantised.
        status: `tried`, `failed` or `chosen`.
        reason: why it failed.
        size_bytes: of the file, without its card.
        labels_changed: images whose label is not the float32 file's.
        correct: images labelled right.
        rms_logit_error: against the float32 file's logits.
        max_logit_error: against them.
        graph: quantised; None where it failed.
    """

    name: str
    setting: Int8Setting
    status: str = "tried"
    reason: str | None = None
    size_bytes: int | None = None
    labels_changed: int | None = None
    correct: int | None = None
    rms_logit_error: float | None = None
    max_logit_error: float | None = None
    graph: onnx.ModelProto | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: value for name, value in to_plain(self).items() if name != "graph"}
