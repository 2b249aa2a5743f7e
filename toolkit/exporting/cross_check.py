"""The same network written by torch's other exporter: two files that share no translation must give equal answers.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["compare_exporters", "judge_cross_check"]

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.data.dataset import split_images
from toolkit.errors import CheckFailedError, ModelError
from toolkit.exporters import ExportError, export_torch_script, finish_model
from toolkit.exporting.model_file import SPEC, FileMaker, Proven, answer_pieces
from toolkit.exporting.reference import float64_logits, split_training
from toolkit.exporting.report import CrossCheck
from toolkit.network.cnn import ContractNetwork
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.agreement import compare_outputs
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.contract import PROVEN_BATCHES
from toolkit.runtimes.workers.client import open_worker

# Float64 answers of more would cost longer than the export.
MOST_IMAGES = 2_000
OTHER_PRODUCER = "cross-check"


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
