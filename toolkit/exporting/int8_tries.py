"""An int8 file: three ways to quantise one graph, ranked on the images that a training holds out.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["CALIBRATION_SEED", "SETTINGS", "Int8Report", "Int8Try", "calibration_images", "rank_tries", "try_settings"]

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters import ExportError, ExportSpec, Int8Setting, finish_model, quantise_apart
from toolkit.data.dataset import Split, split_images
from toolkit.errors import ModelError, WorkerError
from toolkit.exporting.int8_gate import Int8Gate
from toolkit.exporting.proof import answer_pieces
from toolkit.onnx_file.source import ModelSource
from toolkit.plain import to_plain
from toolkit.progress import ShowProgress
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.workers.client import open_worker

CALIBRATION_SEED = 0
SETTINGS: dict[str, Int8Setting] = {
    "minmax": Int8Setting(),
    "percentile 99.99": Int8Setting(percentile=99.99),
    "minmax, 7-bit weights": Int8Setting(reduce_range=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Try:
    """One setting and what it gave on those images.

    Attributes:
        name: of the setting.
        setting: how it was quantised.
        status: `tried`, `failed` or `chosen`.
        reason: why it failed.
        size_bytes: of the file, without its card.
        labels_changed: images whose label is not the float32 file's.
        correct: images labelled right.
        rms_logit_error: against the float32 file's logits.
        max_logit_error: against them.
        graph: quantised; None where it failed.
    """

    name: str
    setting: Int8Setting
    status: str = "tried"
    reason: str | None = None
    size_bytes: int | None = None
    labels_changed: int | None = None
    correct: int | None = None
    rms_logit_error: float | None = None
    max_logit_error: float | None = None
    graph: onnx.ModelProto | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: value for name, value in to_plain(self).items() if name != "graph"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Report:
    """The table of tries with the gate.

    Attributes:
        model: `path` and `sha256` of the float32 file.
        output: where the int8 file lies, or would.
        calibration: `images` and `seed`.
        ranking: `images` that ranked the tries, and `split`, what they were to the run.
        tries: one row for each setting.
        gate: what the test images said; None where no try came so far.
        failures: why there is no file; empty where there is one.
    """

    model: dict[str, Any]
    output: Path
    calibration: dict[str, int]
    ranking: dict[str, Any]
    tries: tuple[Int8Try, ...] = ()
    gate: Int8Gate | None = None
    failures: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the file was kept."""
        return not self.failures

    @property
    def chosen(self) -> Int8Try | None:
        """The try that was looked at on the test images."""
        return next((item for item in self.tries if item.status == "chosen"), None)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/int8/1`, without command and environment."""
        return {
            "schema": "toolkit/int8/1",
            "passed": self.passed,
            "model": self.model,
            "output": str(self.output),
            "calibration": self.calibration,
            "ranking": self.ranking,
            "gate": None if self.gate is None else self.gate.to_json(),
            "failures": list(self.failures),
            "rows": [item.to_json() for item in self.tries],
        }


def calibration_images(images: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return a seeded sample of training images `[N, ...]`, in their order; all where there are no more."""
    chosen = np.random.default_rng(CALIBRATION_SEED).permutation(len(images))[:count]
    return images[np.sort(chosen)]


def try_settings(
    graph: onnx.ModelProto,
    fp32: ModelSource,
    held_out: Split,
    *,
    calibration: NDArray[np.uint8],
    log: Path,
    progress: ShowProgress | None = None,
) -> tuple[Int8Try, ...]:
    """Try every setting and choose the best: no clock is asked, so that the same checkpoint gives the same bytes.

    Args:
        graph: traced, float32.
        fp32: the file made from it.
        held_out: the images that rank, none of those that calibrate.
        calibration: uint8 `[N, ...]`.
        log: what the quantiser prints is added to it.
        progress: called with the settings done and their number.

    Returns:
        One try for each setting, in the order of `SETTINGS`; none is `chosen` where all failed.
    """
    exact = _answer(fp32, held_out.images)
    tries = []
    for name in SETTINGS:
        tries.append(_try_setting(name, graph, calibration, held_out, exact, log=log))
        if progress is not None:
            progress(len(tries), len(SETTINGS))
    best = [item.name for item in rank_tries(tries)[:1]]
    return tuple(replace(item, status="chosen") if item.name in best else item for item in tries)


def _try_setting(
    name: str,
    graph: onnx.ModelProto,
    calibration: NDArray[np.uint8],
    held_out: Split,
    exact: Arrays,
    *,
    log: Path,
) -> Int8Try:
    """Quantise a graph in one way and let ONNX Runtime answer the images that rank, of which float32 says `exact`.

    A setting that cannot be had is a row of the table, not the end of it.
    """
    tried = Int8Try(name=name, setting=SETTINGS[name])
    shape = held_out.images.shape[1:]
    try:
        quantised = quantise_apart(graph, calibration, SETTINGS[name], log=log)
        model = finish_model(quantised, ExportSpec(input_shape=shape), metadata={}, producer="int8").model
        seen = _answer(ModelSource.in_memory(model, Path(name)), held_out.images)
    except (ExportError, ModelError, WorkerError) as error:
        return replace(tried, status="failed", reason=str(error))
    errors = np.abs(seen["logits"] - exact["logits"])
    if not np.isfinite(errors).all():
        return replace(tried, status="failed", reason="a logit is not finite")
    return replace(
        tried,
        size_bytes=len(model),
        labels_changed=int((seen["label"] != exact["label"]).sum()),
        correct=int((seen["label"] == held_out.labels).sum()),
        rms_logit_error=float(np.sqrt(np.mean(errors.astype(np.float64) ** 2))),
        max_logit_error=float(errors.max()),
        graph=quantised,
    )


def rank_tries(tries: list[Int8Try]) -> list[Int8Try]:
    """Return what can be had, best first: fewest labels changed, then the smallest logit error, then as listed."""
    usable = [item for item in tries if item.graph is not None]
    return sorted(usable, key=lambda item: (item.labels_changed, item.rms_logit_error))


def _answer(source: ModelSource, images: NDArray[np.uint8]) -> Arrays:
    with open_worker(source, RuntimeSettings(), allow_foreign=False) as runtime:
        return answer_pieces(runtime, split_images(images))
