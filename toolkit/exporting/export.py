"""A run becomes a model file with its card, proven before it is put in place."""

from __future__ import annotations

__all__ = ["export_run"]

from dataclasses import replace
from pathlib import Path

import onnx

from exporters import ExportError, ExportSpec, export_torch, finish_model
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
from toolkit.exporting.reference import make_golden, make_probe
from toolkit.exporting.report import ExportReport
from toolkit.network.checkpoint import Checkpoint, read_checkpoint
from toolkit.network.cnn import Classifier
from toolkit.network.run import read_run
from toolkit.runtimes.source import ModelSource

PRODUCER = "onnx-parity-toolkit"


def export_run(run: Path, data: Dataset, config: ExportConfig, *, store: ArtifactStore) -> ExportReport:
    """Export a run's checkpoint and put the file in place once it is proven.

    Args:
        run: the run folder, with `@12` or `@best` for another checkpoint than the last.
        data: what it was trained on.
        config: how.
        store: where the model goes.

    Raises:
        DataError: the data set is not the one that the run was trained on.
        ModelError: the checkpoint cannot be used or exported.
        CheckFailedError: the file's answers differ from the float64 reference.
        UsageError: the output exists with other content and `force` is not set.
    """
    described = read_run(run)
    require_same_data(data, described.data, owner=f"run {run.name}")
    checkpoint = read_checkpoint(described.checkpoint_path)
    # With a path of its own nothing can collide.
    name = config.name or described.model_name
    if config.name is None and config.output is None:
        name = choose_name(name, checkpoint.sha256, store=store)
    output = config.output or store.model_path(name)
    spec = ExportSpec(input_shape=data.test.images.shape[1:])
    graph = _trace(checkpoint, spec)
    probe = make_probe(checkpoint.network, graph, data)
    bare = finish_model(graph, spec, metadata={}, producer=PRODUCER)
    proof = prove_model(_in_memory(bare.model, output), data.test, probe=probe)
    accuracy = measure_accuracy(data.test.labels, proof.labels, classes=len(data.classes), dataset=data.name)
    kind = config.golden or ("data" if is_public(data) else "synthetic")
    golden = make_golden(kind, probe, checkpoint.network, graph)
    card = build_card(described, checkpoint, name=name, accuracy=accuracy, bound=probe.bound, golden=golden)
    card = replace(card, author=config.author, licence=config.licence)
    metadata = {CARD_KEY: card.dumps(), "model_author": config.author, "model_license": config.licence}
    finished = finish_model(graph, spec, metadata=metadata, producer=PRODUCER)
    prove_contract(_in_memory(finished.model, output))
    unchanged = _put(output, finished.model, card, force=config.force)
    store.record(model=output, model_run=described.path.name)
    return _report(output, finished.model, finished.operators, unchanged, card, accuracy, proof)


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
