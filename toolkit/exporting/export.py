"""A run becomes a model file with its card, proven before it is put in place."""

from __future__ import annotations

__all__ = ["export_run"]

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from exporters import ExportError, ExportSpec, convert_to_half, export_torch, finish_model
from toolkit.artifacts import ArtifactStore, check_output
from toolkit.card import CARD_KEY, Card, card_beside
from toolkit.data.dataset import Dataset
from toolkit.data.public import is_public
from toolkit.durable import sha256_bytes, write_atomic
from toolkit.errors import ModelError
from toolkit.evaluation.accuracy import AccuracyReport, measure_accuracy
from toolkit.evaluation.evaluate import require_same_data
from toolkit.exporting.card_text import build_card
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.naming import choose_name
from toolkit.exporting.proof import Proof, prove_contract, prove_model
from toolkit.exporting.reference import Probe, make_golden, make_probe
from toolkit.exporting.report import ExportReport
from toolkit.network.checkpoint import Checkpoint, read_checkpoint
from toolkit.network.cnn import Classifier
from toolkit.network.run import RunConfig, read_run
from toolkit.runtimes.source import ModelSource

PRODUCER = "onnx-parity-toolkit"


def export_run(run: Path, data: Dataset, config: ExportConfig, *, store: ArtifactStore) -> ExportReport:
    """Export a run's checkpoint and put the files in place once they are proven.

    Args:
        run: the run folder, with `@12` or `@best` for another checkpoint than the last.
        data: what it was trained on.
        config: how.
        store: where the models go.

    Raises:
        DataError: the data set is not the one that the run was trained on.
        ModelError: the checkpoint cannot be used or exported.
        CheckFailedError: a file's answers differ from the float64 reference.
        UsageError: an output exists with other content and `force` is not set.
    """
    described = read_run(run)
    require_same_data(data, described.data, owner=f"run {run.name}")
    checkpoint = read_checkpoint(described.checkpoint_path)
    # With a path of its own nothing can collide.
    name = config.name or described.model_name
    if config.name is None and config.output is None:
        name = choose_name(name, checkpoint.sha256, store=store)
    export = _Export(run=described, checkpoint=checkpoint, data=data, config=config, name=name)
    output = config.output or store.model_path(name)
    graph = _trace(checkpoint, export.spec)
    report = export.write(graph, output, precision="fp32")
    derived = []
    if "fp16" in config.precisions:
        half = _to_half(graph, name=name)
        beside = output.with_name(f"{output.stem}.fp16.onnx")
        derived.append(export.write(half, beside, precision="fp16", derived_from=report.sha256))
    store.record(model=output, model_run=described.path.name)
    return replace(report, derived=tuple(derived))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Export:
    """What all files of one export share."""

    run: RunConfig
    checkpoint: Checkpoint
    data: Dataset
    config: ExportConfig
    name: str

    @property
    def spec(self) -> ExportSpec:
        """What every file must look like."""
        return ExportSpec(input_shape=self.data.test.images.shape[1:])

    def write(
        self, graph: onnx.ModelProto, output: Path, *, precision: str, derived_from: str | None = None
    ) -> ExportReport:
        """Prove a graph, finish it with its card and put it in place."""
        probe = make_probe(self.checkpoint.network, graph, self.data, precision=precision)
        bare = finish_model(graph, self.spec, metadata={}, producer=PRODUCER)
        proof = prove_model(_in_memory(bare.model, output), self.data.test, probe=probe)
        labels, classes = self.data.test.labels, len(self.data.classes)
        accuracy = measure_accuracy(labels, proof.labels, classes=classes, dataset=self.data.name)
        card = self._make_card(graph, probe, accuracy, derived_from=derived_from)
        metadata = {CARD_KEY: card.dumps(), "model_author": card.author, "model_license": card.licence}
        finished = finish_model(graph, self.spec, metadata=metadata, producer=PRODUCER)
        prove_contract(_in_memory(finished.model, output))
        unchanged = _put(output, finished.model, card, force=self.config.force)
        return _report(output, finished.model, finished.operators, unchanged, card, accuracy, proof)

    def _make_card(
        self, graph: onnx.ModelProto, probe: Probe, accuracy: AccuracyReport, *, derived_from: str | None
    ) -> Card:
        kind = self.config.golden or ("data" if is_public(self.data) else "synthetic")
        card = build_card(
            self.run,
            self.checkpoint,
            name=self.name,
            precision=probe.precision,
            accuracy=accuracy,
            bound=probe.bound,
            golden=make_golden(kind, probe, self.checkpoint.network, graph),
        )
        author, licence = self.config.author, self.config.licence
        return replace(card, derived_from_sha256=derived_from, author=author, licence=licence)


def _to_half(graph: onnx.ModelProto, *, name: str) -> onnx.ModelProto:
    try:
        return convert_to_half(graph)
    except ExportError as error:
        raise ModelError(f"{name} has no float16 file: {error}") from error


def _trace(checkpoint: Checkpoint, spec: ExportSpec) -> onnx.ModelProto:
    try:
        return export_torch(Classifier(checkpoint.network), spec)
    except ExportError as error:
        raise ModelError(f"{checkpoint.path} cannot be exported: {error}") from error


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
