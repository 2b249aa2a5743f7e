"""What a model file is, and which clauses of the contract it meets."""

from __future__ import annotations

__all__ = ["InspectReport", "inspect_model"]

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.card import CARD_KEY, Card
from toolkit.errors import ModelError
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings, TensorSpec
from toolkit.runtimes.contract import PROVEN_BATCHES, Clause, check_contract, read_card
from toolkit.runtimes.process import WorkerRuntime, blame_the_file
from toolkit.runtimes.source import ModelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectReport:
    """What was found.

    Attributes:
        source: the file.
        summary: format facts, as `vet_model` returns them.
        info: what the engine says of its inputs and outputs.
        clauses: the contract's clauses with their verdicts.
        card: the file's card, None where it has none that can be read.
    """

    source: ModelSource
    summary: dict[str, Any]
    info: RuntimeInfo
    clauses: tuple[Clause, ...]
    card: Card | None

    @property
    def is_ours(self) -> bool:
        """Whether the file meets every clause."""
        return all(clause.met for clause in self.clauses)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/inspect/1`."""
        card = (
            None if self.card is None else {key: value for key, value in self.card.to_json().items() if key != "golden"}
        )
        return {
            "schema": "toolkit/inspect/1",
            "model": {
                "path": str(self.source.path),
                "sha256": self.source.sha256,
                "size_bytes": len(self.source.model),
            },
            "format": {key: value for key, value in self.summary.items() if key != "metadata"},
            "inputs": [_tensor_json(spec) for spec in self.info.inputs],
            "outputs": [_tensor_json(spec) for spec in self.info.outputs],
            "meets_contract": self.is_ours,
            "clauses": [clause._asdict() for clause in self.clauses],
            "card": card,
        }

    def describe(self) -> list[str]:
        """Return sentences for people."""
        operators = Counter(self.summary["operators"])
        counted = ", ".join(f"{count} {name}" if count > 1 else name for name, count in operators.items())
        lines = [
            f"{self.source.path}: {len(self.source.model) / 1e6:.2f} MB, sha256 {self.source.sha256}",
            f"opset {self.summary['opset']}, IR {self.summary['ir_version']}, {operators.total()} nodes: {counted}",
        ]
        if self.card is not None:
            card = self.card
            names = ", ".join(card.classes[:12]) + (" ..." if len(card.classes) > 12 else "")
            lines.append(
                f"{card.name}: {len(card.classes)} classes ({names}), {card.precision}, "
                f"{card.network.get('parameters', '?')} parameters, trained on {card.data.get('name')}"
            )
            if card.test_accuracy:
                low, high = card.test_accuracy["ci95"]
                lines.append(
                    f"test accuracy {card.test_accuracy['value']:.2%} (95 % interval {low:.2%} to {high:.2%}, "
                    f"{card.test_accuracy['correct']:,} of {card.test_accuracy['count']:,})"
                )
        lines += [f"{role}: {'; '.join(map(_words, specs))}" for role, specs in self._interface()]
        lines.append(self._verdict())
        return lines

    def _interface(self) -> tuple[tuple[str, tuple[TensorSpec, ...]], ...]:
        return ("inputs", self.info.inputs), ("outputs", self.info.outputs)

    def _verdict(self) -> str:
        if self.is_ours:
            return "it meets every clause of the contract"
        if self.card is None and CARD_KEY not in self.info.metadata:
            return "it carries no card: a stranger's file, which the contract does not bind; what it would break:"
        return "it breaks the contract:"


def inspect_model(source: ModelSource) -> InspectReport:
    """Open a file in a worker, judge it clause by clause, and run it at every batch size that the contract promises.

    Raises:
        ModelError: not a model, or one that crashes or hangs the engine or does not open.
    """
    with blame_the_file(str(source.path)), WorkerRuntime(source, RuntimeSettings(), timeout_s=60) as runtime:
        clauses = check_contract(runtime.info, runtime.model_summary)
        if all(clause.met for clause in clauses):
            clauses.append(_prove_batches(runtime))
        return InspectReport(
            source=source,
            summary=runtime.model_summary,
            info=runtime.info,
            clauses=tuple(clauses),
            card=_card_or_none(runtime.info, source),
        )


def _prove_batches(runtime: WorkerRuntime) -> Clause:
    shape = [int(size) for size in runtime.info.inputs[0].shape[1:] if isinstance(size, int)]
    name = f"runs at batch {', '.join(map(str, PROVEN_BATCHES))}"
    for size in PROVEN_BATCHES:
        try:
            outputs = runtime.run({"images": np.zeros((size, *shape), np.uint8)})
        except ModelError as error:
            return Clause(name, met=False, seen=f"batch {size}: {error}")
        if any(len(array) != size for array in outputs.values()):
            return Clause(name, met=False, seen=f"batch {size} gives {[len(array) for array in outputs.values()]} rows")
    return Clause(name, met=True, seen="as many rows as images")


def _words(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} [{', '.join(str(size or '?') for size in spec.shape)}]"


def _card_or_none(info: RuntimeInfo, source: ModelSource) -> Card | None:
    try:
        return read_card(info.metadata, name=source.path.name)
    except ModelError:
        return None  # the clause "carries a card" says why


def _tensor_json(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}
