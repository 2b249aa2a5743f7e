"""A run becomes a model file with its card, proven before it is put in place."""

from __future__ import annotations

__all__ = ["ExportConfig", "ExportReport", "export_run"]

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from exporters import ExportError, ExportSpec, export_torch, finish_model
from toolkit.artifacts import ArtifactStore, check_output
from toolkit.card import CARD_KEY, Card, Golden, card_beside
from toolkit.data.dataset import Dataset
from toolkit.data.public import is_public
from toolkit.data.split import hold_out
from toolkit.durable import sha256_bytes, write_atomic
from toolkit.errors import ModelError, UsageError, suggest
from toolkit.evaluation.accuracy import AccuracyReport, measure_accuracy
from toolkit.evaluation.evaluate import require_same_data
from toolkit.exporting.card_text import build_card
from toolkit.exporting.golden import GOLDEN_KINDS, choose_golden, synthetic_images
from toolkit.exporting.proof import Proof, prove_contract, prove_model
from toolkit.network.checkpoint import Checkpoint, read_checkpoint
from toolkit.network.cnn import Classifier
from toolkit.network.run import RunConfig, read_run
from toolkit.runtimes.onnx_float64 import evaluate_with_rounding
from toolkit.runtimes.rounding import UNIT_ROUNDOFF, bound_from_sigma
from toolkit.runtimes.source import ModelSource

# Images on which the bound is computed, besides the golden ones.
BOUND_SAMPLE = 128
PRODUCER = "onnx-parity-toolkit"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How to export.

    Attributes:
        name: the model's name; the run's name by default.
        output: where to write; `models/<name>.onnx` by default.
        golden: `data` (validation images), `synthetic` or `none`; by default `data` for catalogue data sets only,
            because a user's own images must not leak.
        author: written into the card.
        licence: SPDX identifier of the model file, written into the card.
        force: replace a file that exists.
    """

    name: str | None = None
    output: Path | None = None
    golden: str | None = None
    author: str = "unspecified"
    licence: str = "NOASSERTION"
    force: bool = False

    def __post_init__(self) -> None:
        if self.golden is not None and self.golden not in GOLDEN_KINDS:
            raise UsageError(f"unknown golden vectors {self.golden!r}{suggest(self.golden, GOLDEN_KINDS)}")
        if self.output is not None and self.output.suffix != ".onnx":
            raise UsageError(f"the output {self.output} does not end in .onnx, by which every command knows a model")
        if self.name is not None and (not self.name or set(self.name) & set("/\\\0") or self.name.startswith(".")):
            raise UsageError(f"{self.name!r} cannot name a file")


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
        }


def export_run(run: Path, data: Dataset, config: ExportConfig, *, store: ArtifactStore) -> ExportReport:
    """Export a run's last checkpoint and put the file in place once it is proven.

    Raises:
        DataError: the data set is not the one that the run was trained on.
        ModelError: the checkpoint cannot be used or exported.
        CheckFailedError: the file's answers differ from the float64 reference.
        UsageError: the output exists with other content and `force` is not set.
    """
    described = read_run(run)
    require_same_data(data, described.data, owner=f"run {run.name}")
    checkpoint = read_checkpoint(described.checkpoint_path)
    name = config.name or run.name
    output = config.output or store.model_path(name)
    spec = ExportSpec(input_shape=data.test.images.shape[1:])
    graph = _trace(checkpoint, spec)
    probe, reference, bound = _reference(checkpoint, graph, data)
    bare = finish_model(graph, spec, metadata={}, producer=PRODUCER)
    proof = prove_model(_in_memory(bare.model, output), data.test, probe=probe, reference=reference, bound=bound)
    accuracy = measure_accuracy(data.test.labels, proof.labels, classes=len(data.classes), dataset=data.name)
    golden = _golden(config, described, probe, reference, checkpoint, graph=graph, bound=bound)
    card = build_card(described, checkpoint, name=name, accuracy=accuracy, bound=bound, golden=golden)
    card = replace(card, author=config.author, licence=config.licence)
    metadata = {CARD_KEY: card.dumps(), "model_author": config.author, "model_license": config.licence}
    finished = finish_model(graph, spec, metadata=metadata, producer=PRODUCER)
    prove_contract(_in_memory(finished.model, output))
    unchanged = _put(output, finished.model, card, force=config.force)
    store.record(model=output, model_run=run.name)
    return _report(output, finished.model, finished.operators, unchanged, card, accuracy, proof)


def _trace(checkpoint: Checkpoint, spec: ExportSpec) -> onnx.ModelProto:
    try:
        return export_torch(Classifier(checkpoint.network), spec)
    except ExportError as error:
        raise ModelError(f"{checkpoint.path} cannot be exported: {error}") from error


def _reference(
    checkpoint: Checkpoint, graph: onnx.ModelProto, data: Dataset
) -> tuple[NDArray[np.uint8], NDArray[np.float64], float]:
    """Return probe images from the validation split, their float64 logits by PyTorch, and the bound."""
    validation = hold_out(data.train, min(10_000, len(data.train) // 5))[1]
    probe = _probe_images(validation.images, validation.labels, checkpoint)
    reference = _float64_logits(checkpoint, probe)
    _, sigma = evaluate_with_rounding(graph, probe, roundoff=UNIT_ROUNDOFF["fp32"])
    return probe, reference, bound_from_sigma(sigma)


def _probe_images(images: NDArray[np.uint8], labels: NDArray[np.int64], checkpoint: Checkpoint) -> NDArray[np.uint8]:
    """Return the golden images first, then evenly spaced ones."""
    with torch.inference_mode():
        chunks = torch.split(torch.from_numpy(images), 1000)
        logits = torch.cat([checkpoint.network(chunk) for chunk in chunks]).double().numpy()
    golden = choose_golden(labels, logits, image_bytes=images[0].nbytes)
    spaced = np.linspace(0, len(images) - 1, BOUND_SAMPLE).astype(np.int64)
    chosen: NDArray[np.uint8] = images[np.concatenate([golden, spaced])]
    return chosen


def _float64_logits(checkpoint: Checkpoint, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    network = checkpoint.network.double()
    try:
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()  # type: ignore[no-any-return]  # modules are untyped
    finally:
        checkpoint.network.float()


def _golden(
    config: ExportConfig,
    run: RunConfig,
    probe: NDArray[np.uint8],
    reference: NDArray[np.float64],
    checkpoint: Checkpoint,
    *,
    graph: onnx.ModelProto,
    bound: float,
) -> Golden | None:
    kind = config.golden or ("data" if is_public(run.data["sha256"]) else "synthetic")
    count = len(probe) - BOUND_SAMPLE
    if kind == "none" or count == 0:
        return None
    if kind == "data":
        images, logits = probe[:count], reference[:count]
    else:
        images = synthetic_images(probe.shape[1:], count=count)
        logits = _float64_logits(checkpoint, images)
        _, sigma = evaluate_with_rounding(graph, images, roundoff=UNIT_ROUNDOFF["fp32"])
        bound = max(bound, bound_from_sigma(sigma))
    return Golden(
        origin=kind,
        images=images.tobytes(),
        shape=images.shape,
        logits=tuple(tuple(float(item) for item in row) for row in logits),
        tolerance=bound,
    )


def _put(output: Path, model: bytes, card: Card, *, force: bool) -> bool:
    unchanged = output.is_file() and output.read_bytes() == model
    beside, text = card_beside(output), (card.dumps() + "\n").encode()
    same_card = beside.is_file() and beside.read_bytes() == text
    for path, is_same in ((output, unchanged), (beside, same_card)):
        if not is_same:
            check_output(path, force=force)
    # The card goes first: a model without its own card beside it would be the worse half.
    if not same_card:
        write_atomic(beside, text)
    if not unchanged:
        write_atomic(output, model)
    return unchanged


def _in_memory(model: bytes, path: Path) -> ModelSource:
    return ModelSource(model=model, sha256=sha256_bytes(model), path=path)


def _report(
    output: Path,
    model: bytes,
    operators: tuple[str, ...],
    unchanged: bool,
    card: Card,
    accuracy: AccuracyReport,
    proof: Proof,
) -> ExportReport:
    return ExportReport(
        model=output,
        sha256=sha256_bytes(model),
        size_bytes=len(model),
        unchanged=unchanged,
        operators=operators,
        card=card,
        accuracy=accuracy,
        max_abs_logit_error=proof.max_abs_logit_error,
        engine=proof.engine,
    )
