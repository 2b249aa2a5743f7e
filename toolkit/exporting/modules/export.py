"""A module of one's own becomes a file beside a record of the module's answers, proven before it is put in place."""

from __future__ import annotations

__all__ = ["export_module"]

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from toolkit.artifacts import ArtifactStore, check_output, recording_beside
from toolkit.card import Card, card_beside
from toolkit.durable import sha256_bytes, write_atomic
from toolkit.environment import describe_environment
from toolkit.errors import ModelError
from toolkit.exporters import ExportError, ExportResult, ExportSpec, export_torch, finish_model
from toolkit.exporting.export import begin_log
from toolkit.exporting.model_file import PRODUCER, card_properties, prove_contract
from toolkit.exporting.modules.borrowed import Borrowed, borrow_module, undisturbed
from toolkit.exporting.modules.classifier import make_card
from toolkit.exporting.modules.config import ModuleExportConfig
from toolkit.exporting.modules.example import Example, to_tensors
from toolkit.exporting.modules.proof import prove_module
from toolkit.exporting.modules.reference import ask_module
from toolkit.exporting.modules.report import ModuleExportReport
from toolkit.holding import hold
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.recording import Recording, write_recording
from toolkit.parity.references.feeds import FeedsReference
from toolkit.progress import ShowWork, show_nothing

FIXED = (
    "forward fixes a size that is to stay open: name the others with dynamic={...}, or fix all of them with dynamic={}"
)
# What a word in torch's message means for the module.
ADVICE = {
    "data-dependent": "forward chooses its way by numbers that it computes: use torch.where or torch.cond",
    "No ONNX function": "write forward with operations that ONNX has",
    "inferred": FIXED,
    "open axes": FIXED,
}


def export_module(
    module: nn.Module,
    example: Any,
    *,
    config: ModuleExportConfig | None = None,
    store: ArtifactStore,
    progress: ShowWork = show_nothing,
) -> ModuleExportReport:
    """Export a module as one file and put it in place once its answers are the module's own.

    A copy is exported and the module is left as it was. The file is held against the copy's answers in float64, within
    16 times the error that the module itself makes in float32: stated before any engine runs.

    Args:
        module: of float32 or float16 weights, on any device.
        example: a tensor or array, a tuple of them, or a dictionary of them by parameter of `forward`, with typical
            numbers: calls of other sizes are made from them.
        config: how.
        store: where the file goes by default, and what torch prints.
        progress: told what is being done.

    Raises:
        UsageError: the example, names or axes do not fit the module; the output exists and `force` is not set.
        ModelError: the module cannot be exported, or answers by chance.
        CheckFailedError: the file's answers are not the module's; nothing is written.
        ResourceError: another process exports to the same name.
    """
    config = config or ModuleExportConfig()
    name = config.name or type(module).__name__.lower()
    target = config.output or store.model_path(name)
    with hold(target, taken=f"{target} is being exported by another process; wait for it or choose another name"):
        report = _export(module, example, config=config, name=name, target=target, store=store, progress=progress)
    store.record(model=report.model)
    return report


def _export(
    module: nn.Module,
    example: Any,
    *,
    config: ModuleExportConfig,
    name: str,
    target: Path,
    store: ArtifactStore,
    progress: ShowWork,
) -> ModuleExportReport:
    log = begin_log(store, target.stem)
    with undisturbed():
        with progress("tracing the module"):
            borrowed = borrow_module(module, example, config=config, name=name)
            graph, spec, finished = _trace(borrowed, name=name, log=log)
        reference = ask_module(borrowed, budget_s=config.budget_s, progress=progress)
    if _open_sizes(graph, reference, example=borrowed.example):
        finished = finish_model(graph, spec, metadata={}, producer=PRODUCER)
    card = None
    if config.classes:
        network = {"preset": type(module).__name__, "parameters": borrowed.parameters}
        sha256 = sha256_bytes(finished.model)
        card = make_card(reference, config=config, name=target.stem, network=network, sha256=sha256)
        finished = finish_model(graph, spec, metadata=card_properties(card), producer=PRODUCER)
    source = ModelSource.in_memory(finished.model, target)
    proof = prove_module(reference, source, example=borrowed.example, progress=progress)
    if card is not None:
        prove_contract(source)
    place, unchanged = _put(source, proof.recording, card=card, config=config)
    return ModuleExportReport(
        model=place,
        recording=recording_beside(place),
        sha256=source.sha256,
        size_bytes=len(source.model),
        unchanged=unchanged,
        operators=finished.operators,
        parameters=borrowed.parameters,
        precision=borrowed.precision,
        bound_rule=reference.rule,
        card=card,
        log=log,
        by_mode=borrowed.by_mode,
        warnings=reference.left_out,
        **proof.figures,
    )


def _trace(borrowed: Borrowed, *, name: str, log: Path) -> tuple[onnx.ModelProto, ExportSpec, ExportResult]:
    """Return the graph of a module, what its file has to look like, and the file that is made of it."""
    example = borrowed.example
    spec = ExportSpec(input_names=tuple(example.arrays), output_names=borrowed.outputs, dynamic=example.dynamic)
    # While tracing 0 and 1 are specialised.
    tensors = to_tensors(example.resize({axis: max(size, 2) for axis, size in example.sizes.items()}))
    try:
        graph = export_torch(borrowed.face, tensors, spec=spec, log=log)
        finished = finish_model(graph, spec, metadata={}, producer=PRODUCER)
    except ExportError as error:
        advice = next((f"; {words}" for sign, words in ADVICE.items() if sign in str(error)), "")
        raise ModelError(f"{name} cannot be exported: {error}{advice}; what torch said is in {log}") from error
    return graph, spec, finished


def _put(
    source: ModelSource, recording: Recording, *, card: Card | None, config: ModuleExportConfig
) -> tuple[Path, bool]:
    """Write a file, and the record and card beside it; return where it lies, and whether it lay there already.

    A name that nobody asked for gives way to other files: `-2`, `-3` ... are behind it then.

    Raises:
        UsageError: another file has the name that was asked for, and `force` is not set.
    """
    path, count = source.path, 1
    while (is_there := os.path.lexists(path)) and not (path.is_file() and path.read_bytes() == source.model):
        if config.name or config.output or config.force:
            check_output(path, force=config.force)
            is_there = False
            break
        count += 1
        path = source.path.with_stem(f"{source.path.stem}-{count}")
    # They go first: a model without its own beside it would be the worse half.
    write_recording(recording_beside(path), replace(recording, environment=describe_environment()))
    if card is not None:
        write_atomic(card_beside(path), (card.dumps() + "\n").encode())
    if not is_there:
        write_atomic(path, source.model)
    return path, is_there


def _open_sizes(graph: onnx.ModelProto, reference: FeedsReference, *, example: Example) -> bool:
    """Leave open what a module's answers show to be: by the name of the input's axis whose size they have, if any.

    Args:
        graph: changed in place; sizes within it are left out where one was wrong.
        reference: the module's answers.
        example: names the inputs' axes.

    Returns:
        Whether one was.
    """
    is_changed = False
    sizes = {
        axis: [entry.feeds[name].shape[place] for entry in reference.suites]
        for name, axes in example.dynamic.items()
        for place, axis in axes.items()
    }
    for output in graph.graph.output:
        shapes = [entry.outputs[output.name].shape for entry in reference.suites]
        for place, dim in enumerate(output.type.tensor_type.shape.dim):
            seen = [shape[place] for shape in shapes]
            if dim.HasField("dim_value") and set(seen) != {dim.dim_value}:
                dim.dim_param = next((axis for axis, told in sizes.items() if told == seen), f"{output.name}_{place}")
                del graph.graph.value_info[:]
                is_changed = True
    return is_changed
