"""What the export of a module left."""

from __future__ import annotations

__all__ = ["ModuleExportReport"]

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.card import Card, card_beside
from toolkit.exporting.kits.kits import WrittenKits
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.plain import to_plain
from toolkit.telling.summary import Summarised, Summary, number_facts


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ModuleExportReport(Summarised):
    """What the export of a module left. As a path it is the model's file.

    Attributes:
        model: the `.onnx` file.
        recording: the calls with the module's own answers in float64, beside it; `toolkit parity` judges by them.
        sha256: the file's hash.
        size_bytes: its size.
        unchanged: whether exactly these bytes lay there before.
        operators: operator types in graph order.
        inputs: what the file takes.
        outputs: what it answers.
        parameters: numbers in the module's parameters.
        precision: arithmetic of the file.
        proven: the sizes of each open axis at which the file was run and held.
        max_abs_error: the largest difference of an output of floats to the module's float64 answers.
        bound: what rounding explains of it in that call.
        bound_rule: how bounds are made.
        share_of_bound: the largest share of its own bound that a difference takes.
        engine: what proved it.
        card: of a classifier of images, what the file says of itself; None else.
        log: what torch printed.
        by_mode: kinds of the module's parts that were in training mode; the file computes them as in eval mode.
        warnings: what the user should know: sizes left out.
        command: what repeats it.
        kits: which kits were written of the file; None where none was asked for.
    """

    model: Path
    recording: Path
    sha256: str
    size_bytes: int
    unchanged: bool
    operators: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int
    precision: str
    proven: dict[str, tuple[int, ...]]
    bound: float
    bound_rule: str
    max_abs_error: float
    share_of_bound: float
    engine: str
    card: Card | None
    log: Path
    by_mode: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    command: str = ""
    kits: WrittenKits | None = None

    def __fspath__(self) -> str:
        return str(self.model)

    def summarise(self) -> Summary:
        """Return the file, what it takes and answers, and what proved it."""
        sizes = "; ".join(f"{axis} {', '.join(map(str, known))}" for axis, known in self.proven.items())
        facts: dict[str, object] = {
            "size": f"{self.size_bytes:,} bytes, {self.parameters:,} parameters, {self.precision}",
            "inputs": _words(self.inputs),
            "outputs": _words(self.outputs),
            "proven by": f"{self.engine}: largest error {self.max_abs_error:.2g}, bound {self.bound:.2g}",
            "proven at": sizes or "the example's own sizes, which are fixed",
            "its answers": f"{self.recording}, by which parity judges",
        }
        if self.by_mode:
            facts["mode"] = f"eval, as an answer wants it; these parts were in training mode: {', '.join(self.by_mode)}"
        facts |= {f"kit {kit.kit}": kit.folder for kit in (self.kits.kits if self.kits else ())}
        facts |= number_facts("warning", self.warnings)
        return Summary(f"{self.model} {'unchanged' if self.unchanged else 'written'}", facts)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/module-export/1`: `model` with `path`, `sha256` and `size_bytes`, and all fields."""
        told = to_plain(self)
        file = {"path": told.pop("model"), "sha256": told.pop("sha256"), "size_bytes": told.pop("size_bytes")}
        kits = told.pop("kits") or {}
        told["card"] = None if self.card is None else str(card_beside(self.model))
        return {"schema": "toolkit/module-export/1", "model": file, **told, **kits}


def _words(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} [{', '.join(map(str, spec.shape))}]" for spec in specs)
