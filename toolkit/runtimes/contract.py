"""The contract of our model file, clause by clause, judged from what a runtime and the file's summary say."""

from __future__ import annotations

__all__ = ["PROVEN_BATCHES", "Clause", "check_contract", "check_outputs", "golden_images", "require_contract"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.card import Card, Golden, read_card
from toolkit.errors import ModelError
from toolkit.onnx_file.graph_parts import DEFAULT_DOMAINS

if TYPE_CHECKING:
    from toolkit.onnx_file.element_types import TensorSpec
    from toolkit.onnx_file.facts import FileFacts
    from toolkit.runtimes.base import RuntimeInfo

OPSET = 18
MAX_IR_VERSION = 10
# Batch sizes at which the symbolic axis is proven by running it.
PROVEN_BATCHES = (1, 2, 3, 17, 64)


class Clause(NamedTuple):
    """One clause and whether the file meets it.

    Attributes:
        name: what is asked.
        met: whether it holds.
        seen: what the file has.
    """

    name: str
    met: bool
    seen: str


def golden_images(golden: Golden) -> NDArray[np.uint8]:
    """Return the images of golden vectors, `[N, H, W]` or `[N, H, W, 3]`."""
    return np.frombuffer(golden.images, np.uint8).reshape(golden.shape)


def check_contract(info: RuntimeInfo | FileFacts, summary: Mapping[str, Any] | None = None) -> list[Clause]:
    """Return every clause with its verdict.

    Args:
        info: what the runtime reports of the opened model, or the file states of itself.
        summary: what `vet_model` returned, or `FileFacts.summary`; without it the clauses on the file's format are left
            out.
    """
    clauses = [] if summary is None else _format_clauses(summary)
    clauses.append(_image_clause(info.inputs))
    card: Card | None = None
    try:
        card = read_card(info.metadata, name="the file")
    except ModelError as error:
        clauses.append(Clause("carries a card", met=False, seen=str(error)))
    else:
        clauses.append(Clause("carries a card", met=True, seen=f"{card.name}, {len(card.classes)} classes"))
    return [*clauses, *_output_clauses(info.outputs, card), *(_card_clauses(info, card) if card else [])]


def require_contract(info: RuntimeInfo, *, name: str) -> Card:
    """Return the card of a model that meets the contract.

    Raises:
        ModelError: names the first clause that is broken.
    """
    card = read_card(info.metadata, name=name)
    broken = next((clause for clause in check_contract(info) if not clause.met), None)
    if broken:
        raise ModelError(f"{name} breaks the contract of a toolkit model: {broken.name}; it has {broken.seen}")
    return card


def check_outputs(outputs: Mapping[str, NDArray[Any]], card: Card, *, count: int, name: str) -> None:
    """Check one batch's answers, whose sizes a graph may leave open.

    Raises:
        ModelError: a shape that does not follow from the card and the batch, or a label outside the classes.
    """
    classes = len(card.classes)
    for output, shape in (("logits", (count, classes)), ("probabilities", (count, classes)), ("label", (count,))):
        if outputs[output].shape != shape:
            raise ModelError(
                f"{name}: {output} has shape {list(outputs[output].shape)}; its card and the batch say {list(shape)}"
            )
    labels = outputs["label"]
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        raise ModelError(f"{name} answered label {labels[outside[0]]}; its card names classes 0 to {classes - 1}")


def _format_clauses(summary: Mapping[str, Any]) -> list[Clause]:
    beside = ", ".join(summary.get("beside", ()))  # a file that was vetted has none
    foreign = [domain for domain in summary["domains"] if domain not in DEFAULT_DOMAINS]
    return [
        Clause("one file, no external data", met=not beside, seen=beside or "everything inside"),
        Clause("default operator domain only", met=not foreign, seen=", ".join(foreign) or "ai.onnx"),
        Clause(f"opset {OPSET}", met=summary["opset"] == OPSET, seen=str(summary["opset"] or "none")),
        Clause(
            f"IR version at most {MAX_IR_VERSION}",
            met=summary["ir_version"] <= MAX_IR_VERSION,
            seen=str(summary["ir_version"]),
        ),
        Clause("no notes on nodes", met=summary["node_notes"] == 0, seen=f"{summary['node_notes']} nodes with notes"),
    ]


def _image_clause(inputs: tuple[TensorSpec, ...]) -> Clause:
    name = "one input `images`, uint8, [batch, height, width] or [batch, height, width, 3], batch symbolic"
    seen = ", ".join(_describe(spec) for spec in inputs)
    if len(inputs) != 1:
        return Clause(name, met=False, seen=seen)
    spec = inputs[0]
    sizes = spec.shape[1:]
    fits = len(sizes) in {2, 3} and all(isinstance(size, int) for size in sizes) and (len(sizes) == 2 or sizes[2] == 3)
    return Clause(name, met=spec.name == "images" and spec.dtype == "uint8" and fits and _is_open(spec), seen=seen)


def _output_clauses(outputs: tuple[TensorSpec, ...], card: Card | None) -> list[Clause]:
    wanted = {"logits": ("float32", 2), "probabilities": ("float32", 2), "label": ("int64", 1)}
    found = {spec.name: spec for spec in outputs}
    clauses = []
    for name, (dtype, rank) in wanted.items():
        spec = found.get(name)
        fits = spec is not None and spec.dtype == dtype and len(spec.shape) == rank and _is_open(spec)
        classes = None if spec is None or rank == 1 or not fits else spec.shape[1]
        agrees = rank == 1 or card is None or classes == len(card.classes)
        shape = "[batch]" if rank == 1 else f"[batch, {len(card.classes) if card else 'classes'}]"
        seen = _describe(spec) if spec else f"outputs {', '.join(found)}"
        clauses.append(Clause(f"output `{name}`, {dtype}, {shape}", met=fits and agrees, seen=seen))
    if len(found) < len(outputs):
        seen = ", ".join(spec.name for spec in outputs)
        clauses.append(Clause("every output declared once", met=False, seen=seen))
    if set(found) - set(wanted):
        extra = ", ".join(sorted(set(found) - set(wanted)))
        clauses.append(Clause("no further outputs", met=False, seen=extra))
    return clauses


def _card_clauses(info: RuntimeInfo | FileFacts, card: Card) -> list[Clause]:
    shape = info.inputs[0].shape[1:] if info.inputs else ()
    clauses = [
        Clause(
            "the card's input is the graph's",
            met=shape == card.input.shape,
            seen=f"{list(shape)} and {list(card.input.shape)}",
        )
    ]
    if card.golden is not None:
        width = {len(row) for row in card.golden.logits}
        fits = card.golden.shape[1:] == card.input.shape and width == {len(card.classes)}
        clauses.append(
            Clause("the card's golden vectors fit", met=fits, seen=f"{list(card.golden.shape)}, {sorted(width)} logits")
        )
    return clauses


def _is_open(spec: TensorSpec) -> bool:
    return bool(spec.shape) and not isinstance(spec.shape[0], int)


def _describe(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype} {list(spec.shape)}"
