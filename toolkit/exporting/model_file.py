"""One file of an export: proven in an engine's own process, finished with its card, put in place.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = [
    "MINIMUM",
    "PRODUCER",
    "SPEC",
    "FileMaker",
    "Proof",
    "Proven",
    "answer_pieces",
    "card_properties",
    "prove_contract",
    "prove_model",
    "read_card_beside",
    "tell_versions",
]

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

import toolkit
from toolkit.artifacts import check_output
from toolkit.card import CARD_KEY, Card, InputSpec, card_beside
from toolkit.data.dataset import Dataset, Split
from toolkit.data.images import split_images
from toolkit.data.load import is_public
from toolkit.durable import sha256_bytes, write_atomic
from toolkit.errors import CheckFailedError, ModelError
from toolkit.evaluation.accuracy import AccuracyReport, measure_accuracy
from toolkit.exporters import ExportError, ExportResult, ExportSpec, finish_model
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.reference import ProbeImages, make_golden, make_probe
from toolkit.exporting.report import ExportReport
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import to_plain
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.run import RunConfig
from toolkit.runtimes.agreement import compare_outputs
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.contract import PROVEN_BATCHES, check_contract
from toolkit.runtimes.references.rounding import BOUND_FORMULA
from toolkit.runtimes.workers.client import OpenedWorker, open_worker

PRODUCER = "onnx-parity-toolkit"
# What every file of ours looks like.
SPEC = ExportSpec()
# onnxruntime 1.18 is the first that reads IR version 10 (its compatibility table).
MINIMUM = {"opset": 18, "ir": 10, "onnxruntime": "1.18"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMaker:
    """What all files of one export share.

    Attributes:
        run: where the checkpoint lies.
        checkpoint: what is exported.
        data: what it was trained on.
        config: how.
        name: the model's.
    """

    run: RunConfig
    checkpoint: Checkpoint
    data: Dataset
    config: ExportConfig
    name: str

    @property
    def example(self) -> tuple[torch.Tensor]:
        """Two images for tracing, whatever is on them."""
        return (torch.zeros((2, *self.data.test.images.shape[1:]), dtype=torch.uint8),)

    def prove(self, graph: onnx.ModelProto, *, precision: str, bound: float | None = None) -> Proven:
        """Run a graph at every batch size and over all test images.

        Args:
            graph: traced, or derived from that.
            precision: its arithmetic.
            bound: of a quantised graph, for which no formula gives one.

        Raises:
            CheckFailedError: its answers differ from the float64 reference.
            ModelError: the graph breaks the spec or onnx's checker.
        """
        network, split = self.checkpoint.network, self.run.probe_split
        probe = make_probe(network, graph, data=self.data, split=split, precision=precision, bound=bound)
        bare = ModelSource.in_memory(self._finish(graph, {}).model, Path(self.name))
        proof = prove_model(bare, self.data.test, probe=probe)
        labels, classes = self.data.test.labels, len(self.data.classes)
        accuracy = measure_accuracy(labels, proof.labels, classes=classes, dataset=self.data.name)
        return Proven(graph=graph, probe=probe, proof=proof, accuracy=accuracy, source=bare)

    def put(self, proven: Proven, output: Path, **card_changes: Any) -> ExportReport:
        """Finish a proven graph with its card and put both in place.

        Args:
            proven: what `prove` returned.
            output: where the file goes.
            card_changes: fields of the card that are not the float32 file's.

        Raises:
            CheckFailedError: the finished file breaks its contract.
            UsageError: an output exists with other content and `force` is not set.
        """
        card = replace(self._make_card(proven), **card_changes)
        finished = self._finish(proven.graph, card_properties(card))
        prove_contract(ModelSource.in_memory(finished.model, output))
        unchanged = _put(output, finished.model, card=card, force=self.config.force)
        return ExportReport(
            model=output,
            sha256=sha256_bytes(finished.model),
            size_bytes=len(finished.model),
            unchanged=unchanged,
            operators=finished.operators,
            card=card,
            accuracy=proven.accuracy,
            max_abs_logit_error=proven.proof.max_abs_logit_error,
            engine=proven.proof.engine,
        )

    def _finish(self, graph: onnx.ModelProto, metadata: dict[str, str]) -> ExportResult:
        try:
            return finish_model(graph, SPEC, metadata=metadata, producer=PRODUCER)
        except ExportError as error:
            raise ModelError(f"{self.name} cannot be exported: {error}") from error

    def _make_card(self, proven: Proven) -> Card:
        """Return the card's fields from what the run recorded; no times, nothing measured on a clock."""
        run, accuracy, network = self.run, proven.accuracy, self.checkpoint.network.config
        recipe = {key: value for key, value in run.recipe.items() if key != "network"}
        # A run may have been stopped early or made longer, and this may be an earlier checkpoint of it.
        recipe |= {"epochs": self.checkpoint.epoch, **{key: run.training[key] for key in ("seed", "all_data")}}
        data = {key: run.data[key] for key in ("name", "sha256", "train_count", "test_count", "licence")}
        kind = self.config.golden or ("data" if is_public(self.data) else "synthetic")
        return Card(
            name=self.name,
            classes=run.classes,
            input=InputSpec(**run.input),
            standardisation=run.standardisation,
            precision=proven.probe.precision,
            network={"preset": "cnn", **to_plain(network), "parameters": network.num_parameters},
            recipe=recipe,
            data=data | ({"empty_classes": list(self.data.empty_classes)} if self.data.empty_classes else {}),
            checkpoint_sha256=self.checkpoint.sha256,
            test_accuracy={
                "value": accuracy.accuracy,
                "correct": accuracy.correct,
                "count": accuracy.count,
                "ci95": list(accuracy.interval),
            },
            bound={"logits": proven.probe.bound, "formula": BOUND_FORMULA},
            guard=proven.probe.guard,
            golden=make_golden(kind, proven.probe, network=self.checkpoint.network, graph=proven.graph),
            minimum=MINIMUM,
            versions=tell_versions(),
            author=self.config.author,
            licence=self.config.licence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A graph whose answers hold.

    Attributes:
        graph: what was proven.
        probe: what it was held against.
        proof: what running it showed.
        accuracy: on the test images.
        source: the file without its card, in memory.
    """

    graph: onnx.ModelProto
    probe: ProbeImages
    proof: Proof
    accuracy: AccuracyReport
    source: ModelSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What running the file showed.

    Attributes:
        labels: int64 `[N]`, the file's own label for every test image.
        logits: float32 `[N, K]`, of the same images.
        max_abs_logit_error: largest difference to the float64 reference over the probe images.
        engine: what ran it.
    """

    labels: NDArray[np.int64]
    logits: NDArray[np.float32]
    max_abs_logit_error: float
    engine: str


def prove_model(source: ModelSource, test: Split, *, probe: ProbeImages) -> Proof:
    """Run a file at every batch size that its contract promises, and over all test images.

    Args:
        source: the file, in memory; the worker has an empty folder as its working directory.
        test: images to label.
        probe: images with their float64 logits and the bound.

    Raises:
        CheckFailedError: at a batch size an answer is not the reference's within the bound.
        ModelError: the engine refuses the file.
    """
    with open_worker(source, RuntimeSettings(), allow_foreign=False) as runtime:
        worst = 0.0
        for size in PROVEN_BATCHES:
            outputs = runtime.run({"images": probe.images[:size]})
            judgement = compare_outputs(outputs, probe.logits[:size], bound=probe.bound)
            if not judgement:
                raise CheckFailedError(
                    f"the exported file differs from the float64 reference at batch {size}: "
                    f"{'; '.join(judgement.failures)}: the file was not written"
                )
            worst = max(worst, judgement.max_abs_logit_error or 0.0)
        answers = answer_pieces(runtime, split_images(test.images))
        return Proof(
            labels=answers["label"],
            logits=answers["logits"],
            max_abs_logit_error=worst,
            engine=f"onnxruntime {runtime.info.version}",
        )


def answer_pieces(runtime: OpenedWorker, pieces: Iterable[NDArray[np.uint8]]) -> Arrays:
    """Return a file's outputs for batches of images, one after the other."""
    answers = [runtime.run({"images": piece}) for piece in pieces]
    return {name: np.concatenate([item[name] for item in answers]) for name in answers[0]}


def card_properties(card: Card) -> dict[str, str]:
    """Return what a file's metadata say of it."""
    return {CARD_KEY: card.dumps(), "model_author": card.author, "model_license": card.licence}


def tell_versions() -> dict[str, str]:
    """Return the versions of what made a file."""
    versions = {package: metadata.version(package) for package in ("torch", "onnx", "onnxscript")}
    return {**versions, "toolkit": toolkit.__version__}


def read_card_beside(model: Path) -> Card | None:
    """Return the card that lies beside a model; None where there is none, or somebody else's."""
    try:
        return Card.loads(card_beside(model).read_bytes())
    except (OSError, ModelError):
        return None


def prove_contract(source: ModelSource) -> None:
    """Open the finished file, its card inside, and hold it against every clause of the contract.

    Raises:
        CheckFailedError: names the first clause that is broken.
        ModelError: the engine refuses the file.
    """
    with open_worker(source, RuntimeSettings(), allow_foreign=False) as runtime:
        broken = next((item for item in check_contract(runtime.info, runtime.model_summary) if not item.met), None)
    if broken is not None:
        raise CheckFailedError(
            f"the exported file breaks its contract: {broken.name}; it has {broken.seen}: the file was not written"
        )


def _put(output: Path, model: bytes, *, card: Card, force: bool) -> bool:
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
