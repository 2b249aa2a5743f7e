"""A run becomes a model file with its card, proven before it is put in place.

Asked for, torch's other exporter has to give equal answers. Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["begin_log", "choose_name", "compare_exporters", "export_run", "judge_cross_check"]

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from toolkit.artifacts import ArtifactStore
from toolkit.data.dataset import Dataset, adopt_classes
from toolkit.data.images import split_images
from toolkit.errors import CheckFailedError, ModelError
from toolkit.exporters import ExportError, export_torch, export_torch_script, finish_model
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.derived import derive_half, derive_int8
from toolkit.exporting.guard import LEAST_GUARD_IMAGES
from toolkit.exporting.model_file import SPEC, FileMaker, Proven, answer_pieces, read_card_beside
from toolkit.exporting.reference import float64_logits, split_training
from toolkit.exporting.report import CrossCheck, ExportReport
from toolkit.holding import hold
from toolkit.network.cnn import ContractNetwork
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import RunConfig, read_run
from toolkit.runtimes.agreement import compare_outputs
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.contract import PROVEN_BATCHES
from toolkit.runtimes.workers.client import open_worker

# Float64 answers of more would cost longer than the export.
MOST_IMAGES = 2_000
OTHER_PRODUCER = "cross-check"

UNGUARDED = (
    f"the card has no guard, which takes {LEAST_GUARD_IMAGES} images to calibrate on: predict will not tell which "
    "answers are doubtful"
)


def export_run(
    run: Path, data: Dataset, *, config: ExportConfig, store: ArtifactStore, progress: ShowProgress = tell_nobody
) -> ExportReport:
    """Export a run's checkpoint and put the files in place once they are proven.

    Args:
        run: the run folder, with `@12` or `@best` for another checkpoint than the last.
        data: what it was trained on.
        config: how.
        store: where the models go, and the log of what the exporters print.
        progress: called with the int8 settings tried and their number.

    Returns:
        What was written. An int8 file that was refused is no error here: its report says why there is none.

    Raises:
        DataError: the data set is not the one that the run was trained on, or has other classes (they are listed).
        ModelError: the checkpoint cannot be used or exported.
        CheckFailedError: a file's answers differ from the float64 reference, or those of two exporters.
        UsageError: an output exists with other content and `force` is not set.
        ResourceError: another process exports to the same name.
    """
    described = read_run(run)
    data = _require_data(data, described)
    checkpoint = read_checkpoint(described.checkpoint_path)
    # With a path of its own nothing can collide.
    name = config.name or described.model_name
    if config.name is None and config.output is None:
        name = choose_name(name, checkpoint.sha256, store=store)
    maker = FileMaker(run=described, checkpoint=checkpoint, data=data, config=config, name=name)
    target = config.output or store.model_path(name)
    taken = f"{target} is being exported by another process; wait for it or choose another --name"
    with hold(target, taken=taken):
        report = _export(maker, target, store=store, progress=progress)
    store.record(model=report.model, model_run=described.path.name)
    return report


def choose_name(stem: str, checkpoint_sha256: str, *, store: ArtifactStore) -> str:
    """Return the stem, or the stem with `-2`, `-3` ... where files of other checkpoints have the names before it.

    A run that was gone on with is exported beside the file of its earlier state; the same checkpoint finds its own.

    Args:
        stem: the name wanted.
        checkpoint_sha256: of the checkpoint that is exported.
        store: where models lie.
    """
    name, count = stem, 1
    while os.path.lexists(path := store.model_path(name)):
        card = read_card_beside(path)  # what cannot be known is another's
        if card is not None and card.checkpoint_sha256 == checkpoint_sha256:
            break
        count += 1
        name = f"{stem}-{count}"
    return name


def begin_log(store: ArtifactStore, name: str) -> Path:
    """Return the log of this export, empty: what an exporter prints belongs to one export only.

    Args:
        store: holds it.
        name: of the file, which this process holds.
    """
    path = store.root / "reports" / f"export-{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def _export(maker: FileMaker, target: Path, *, store: ArtifactStore, progress: ShowProgress) -> ExportReport:
    config, data = maker.config, maker.data
    log = begin_log(store, target.stem)
    graph = _trace(maker, log=log)
    proven = maker.prove(graph, precision="fp32")
    checked = compare_exporters(maker, proven, log=log) if config.cross_check else None
    report = maker.put(proven, target)
    unguarded = () if report.card.guard else (UNGUARDED,)
    warnings = (*data.describe_gaps(), *unguarded, *report.accuracy.describe_chance(data.classes))
    report = replace(report, cross_check=checked, log=log, warnings=warnings)
    if "fp16" in config.precisions:
        report = replace(report, derived=(derive_half(maker, proven, fp32=report),))
    if "int8" in config.precisions:
        file, tried = derive_int8(maker, proven, fp32=report, log=log, progress=progress)
        report = replace(report, derived=(*report.derived, *([file] if file else [])), int8=tried)
    return report


def _require_data(data: Dataset, run: RunConfig) -> Dataset:
    """Return what the run was trained on, with its classes in the run's order."""
    owner = f"run {run.path.name}"
    # Where the data name no classes, the names are those that the run's owner gave them.
    if data.has_names or data.sha256 != run.data["sha256"]:
        data = adopt_classes(data, run.classes, knower=owner)
        data.require_same(run.data, owner=owner)
    return data


def _trace(maker: FileMaker, *, log: Path) -> onnx.ModelProto:
    checkpoint = maker.checkpoint
    try:
        return export_torch(ContractNetwork(checkpoint.network), maker.example, spec=SPEC, log=log)
    except ExportError as error:
        raise ModelError(f"{checkpoint.path} cannot be exported: {error}; what torch said is in {log}") from error


def compare_exporters(maker: FileMaker, proven: Proven, *, log: Path) -> CrossCheck:
    """Write a network with the TorchScript-based exporter, in memory, and compare its answers with a file's.

    Args:
        maker: of the export; the images that a training holds out are asked about.
        proven: the file of the dynamo-based exporter.
        log: what the exporter prints is added to it.

    Raises:
        CheckFailedError: the answers differ.
        ModelError: that exporter cannot write this network, or the engine refuses its file.
    """
    import torch

    network, bound = maker.checkpoint.network, proven.probe.bound
    pool = split_training(maker.data)[1]
    try:
        graph = export_torch_script(ContractNetwork(network), maker.example, spec=SPEC, log=log)
        other = finish_model(graph, SPEC, metadata={}, producer=OTHER_PRODUCER)
    except ExportError as error:
        raise ModelError(
            f"no cross-check of this network: {error}; what torch said is in {log}; export without --cross-check"
        ) from error
    images = pool.images[np.linspace(0, len(pool) - 1, min(MOST_IMAGES, len(pool))).astype(np.int64)]
    first, second = (
        _answer(item, images) for item in (proven.source, ModelSource.in_memory(other.model, Path(OTHER_PRODUCER)))
    )
    reference = _like_answers(float64_logits(network, images))
    differing = judge_cross_check(first, second, reference=reference, bound=bound)
    return CrossCheck(
        exporters=(f"torch {torch.__version__} dynamo", f"torch {torch.__version__} TorchScript"),
        images=len(images),
        split=maker.run.probe_split,
        batch_sizes=PROVEN_BATCHES,
        bound=bound,
        max_abs_logit_errors=(_distance(first["logits"], reference), _distance(second["logits"], reference)),
        max_abs_difference=_distance(first["logits"], second["logits"]),
        labels_differing=differing,
        operators=(len(proven.graph.graph.node), len(other.operators)),
    )


def judge_cross_check(first: Arrays, second: Arrays, *, reference: NDArray[np.float64], bound: float) -> int:
    """Return how many answers differ in their label between two files, all of them excused.

    Args:
        first: outputs of the exporter whose file leaves.
        second: of the other one.
        reference: float64 `[N, K]`.
        bound: largest logit error that rounding explains.

    Raises:
        CheckFailedError: a file's answer is not the reference's within the bound.
    """
    for name, outputs in (("dynamo", first), ("TorchScript", second)):
        judgement = compare_outputs(outputs, reference, bound=bound)
        if not judgement:
            raise CheckFailedError(
                f"cross-check: the file of torch's {name} exporter differs from the float64 reference: "
                f"{'; '.join(judgement.failures)}: nothing was written"
            )
    return int((first["label"] != second["label"]).sum())


def _answer(source: ModelSource, images: NDArray[np.uint8]) -> Arrays:
    with open_worker(source, RuntimeSettings(), allow_foreign=False) as runtime:
        return answer_pieces(runtime, [*(images[:size] for size in PROVEN_BATCHES), *split_images(images)])


def _like_answers(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return reference rows in the order in which a file was asked: the small batches, then everything."""
    return np.concatenate([*(logits[:size] for size in PROVEN_BATCHES), logits])


def _distance(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    return float(np.abs(left - right).max())
