"""A finished file, proven in an engine's own process before it is put in place."""

from __future__ import annotations

__all__ = ["Proof", "answer_pieces", "prove_contract", "prove_model"]

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.data.dataset import Split, split_images
from toolkit.errors import CheckFailedError
from toolkit.exporting.reference import ProbeImages
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.agreement import compare_outputs
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.contract import PROVEN_BATCHES, check_contract
from toolkit.runtimes.workers.client import OpenedWorker, open_worker


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
