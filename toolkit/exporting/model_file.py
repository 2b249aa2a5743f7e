"""One file of an export: proven, finished with its card, put in place."""

from __future__ import annotations

__all__ = ["FileMaker", "Proven", "read_card_beside"]

from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx

import toolkit
from exporters import ExportError, ExportResult, ExportSpec, finish_model
from toolkit.artifacts import check_output
from toolkit.card import CARD_KEY, Card, InputSpec, card_beside
from toolkit.data.dataset import Dataset
from toolkit.data.load import is_public
from toolkit.durable import sha256_bytes, write_atomic
from toolkit.errors import ModelError
from toolkit.evaluation.accuracy import AccuracyReport, measure_accuracy
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.proof import Proof, prove_contract, prove_model
from toolkit.exporting.reference import ProbeImages, make_golden, make_probe
from toolkit.exporting.report import ExportReport
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import to_plain
from toolkit.runs.checkpoint import Checkpoint
from toolkit.runs.run import RunConfig
from toolkit.runtimes.references.rounding import BOUND_FORMULA

PRODUCER = "onnx-parity-toolkit"
# onnxruntime 1.18 is the first that reads IR version 10 (its compatibility table).
MINIMUM = {"opset": 18, "ir": 10, "onnxruntime": "1.18"}


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
    def spec(self) -> ExportSpec:
        """What every file must look like."""
        return ExportSpec(input_shape=self.data.test.images.shape[1:])

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
        properties = {CARD_KEY: card.dumps(), "model_author": card.author, "model_license": card.licence}
        finished = self._finish(proven.graph, properties)
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
            return finish_model(graph, self.spec, metadata=metadata, producer=PRODUCER)
        except ExportError as error:
            raise ModelError(f"{self.name} cannot be exported: {error}") from error

    def _make_card(self, proven: Proven) -> Card:
        """Return the card's fields from what the run recorded; no times, nothing measured on a clock."""
        run, accuracy, network = self.run, proven.accuracy, self.checkpoint.network.config
        recipe = {key: value for key, value in run.recipe.items() if key != "network"}
        # A run may have been stopped early or made longer, and this may be an earlier checkpoint of it.
        recipe |= {"epochs": self.checkpoint.epoch, **{key: run.training[key] for key in ("seed", "all_data")}}
        data = {key: run.data[key] for key in ("name", "sha256", "train_count", "test_count", "licence")}
        versions = {package: metadata.version(package) for package in ("torch", "onnx", "onnxscript")}
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
            versions={**versions, "toolkit": toolkit.__version__},
            author=self.config.author,
            licence=self.config.licence,
        )


def read_card_beside(model: Path) -> Card | None:
    """Return the card that lies beside a model; None where there is none, or somebody else's."""
    try:
        return Card.loads(card_beside(model).read_bytes())
    except (OSError, ModelError):
        return None


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
