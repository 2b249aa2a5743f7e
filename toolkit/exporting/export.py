"""A run becomes a model file with its card, proven before it is put in place."""

from __future__ import annotations

__all__ = ["begin_log", "choose_name", "export_run"]

import os
from dataclasses import replace
from pathlib import Path

import onnx

from toolkit.artifacts import ArtifactStore
from toolkit.data.dataset import Dataset, adopt_classes
from toolkit.errors import ModelError
from toolkit.exporters import ExportError, export_torch
from toolkit.exporting.config import ExportConfig
from toolkit.exporting.cross_check import compare_exporters
from toolkit.exporting.derived import derive_half, derive_int8
from toolkit.exporting.guard import LEAST_GUARD_IMAGES
from toolkit.exporting.model_file import SPEC, FileMaker, read_card_beside
from toolkit.exporting.report import ExportReport
from toolkit.holding import hold
from toolkit.network.cnn import ContractNetwork
from toolkit.progress import ShowProgress
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import RunConfig, read_run

UNGUARDED = (
    f"the card has no guard, which takes {LEAST_GUARD_IMAGES} images to calibrate on: predict will not tell which "
    "answers are doubtful"
)


def export_run(
    run: Path, data: Dataset, *, config: ExportConfig, store: ArtifactStore, progress: ShowProgress | None = None
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


def _export(maker: FileMaker, target: Path, *, store: ArtifactStore, progress: ShowProgress | None) -> ExportReport:
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
