"""Several ways to quantise one graph, each tried on the images that a training holds out.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = ["SETTINGS", "Int8Try", "Ranking", "rank_tries", "try_setting"]

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters import ExportError, ExportSpec, Int8Setting, finish_model, quantise_apart
from toolkit.data.dataset import Split
from toolkit.errors import ModelError, WorkerError
from toolkit.exporting.int8_speed import SpeedRow
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.pieces import split_images
from toolkit.runtimes.process import WorkerRuntime
from toolkit.runtimes.source import ModelSource

# Biases stay in float32 in all but one: ONNX Runtime quantises them itself, and other engines refuse int32 ones.
_PLAIN = Int8Setting(quantise_bias=False)
SETTINGS: dict[str, Int8Setting] = {
    "minmax": _PLAIN,
    "entropy": replace(_PLAIN, calibration="entropy"),
    "percentile 99.999": replace(_PLAIN, calibration="percentile", percentile=99.999),
    "percentile 99.99": replace(_PLAIN, calibration="percentile", percentile=99.99),
    "minmax, int8 activations": replace(_PLAIN, activations="int8"),
    "minmax, 7-bit weights": replace(_PLAIN, reduce_range=True),
    "minmax, int32 biases": replace(_PLAIN, quantise_bias=True),
    "minmax, first layer float32": replace(_PLAIN, first_in_float=True),
    "minmax, last layer int8": replace(_PLAIN, last_in_float=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The images that rank the tries, with what the float32 file answers.

    Attributes:
        split: images and true labels.
        logits: float32 `[N, K]`.
        labels: int64 `[N]`.
    """

    split: Split
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, source: ModelSource, split: Split) -> Ranking:
        """Ask the float32 file."""
        logits, labels = _answer(source, split.images)
        return cls(split=split, logits=logits, labels=labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Try:
    """One setting and what it gave on those images.

    Attributes:
        name: of the setting.
        setting: how it was quantised.
        status: `tried`, `failed`, `slower` or `chosen`.
        reason: why it failed or was passed over.
        size_bytes: of the file, without its card.
        labels_changed: images whose label is not the float32 file's.
        correct: images labelled right.
        rms_logit_error: against the float32 file's logits.
        max_logit_error: against them.
        speed: one row for each batch size, where it was measured.
        graph: quantised; None where it failed.
        model: the file, without its card.
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
    speed: tuple[SpeedRow, ...] = ()
    graph: onnx.ModelProto | None = None
    model: bytes = b""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        kept = (item for item in self.__slots__ if item not in {"graph", "model", "setting", "speed"})
        return {
            **{item: getattr(self, item) for item in kept},
            "setting": asdict(self.setting),
            "speed": [row.to_json() for row in self.speed],
        }


def try_setting(
    name: str, graph: onnx.ModelProto, calibration: NDArray[np.uint8], ranking: Ranking, *, log: Path
) -> Int8Try:
    """Quantise a graph in one way and let ONNX Runtime answer the images that rank.

    A setting that cannot be had is a row of the table, not the end of it.
    """
    tried = Int8Try(name=name, setting=SETTINGS[name])
    shape = ranking.split.images.shape[1:]
    try:
        quantised = quantise_apart(graph, calibration, SETTINGS[name], log=log)
        model = finish_model(quantised, ExportSpec(input_shape=shape), metadata={}, producer="int8").model
        logits, labels = _answer(ModelSource.in_memory(model, Path(name)), ranking.split.images)
    except (ExportError, ModelError, WorkerError) as error:
        return replace(tried, status="failed", reason=str(error))
    errors = np.abs(logits - ranking.logits)
    if not np.isfinite(errors).all():
        return replace(tried, status="failed", reason="a logit is not finite")
    return replace(
        tried,
        size_bytes=len(model),
        labels_changed=int((labels != ranking.labels).sum()),
        correct=int((labels == ranking.split.labels).sum()),
        rms_logit_error=float(np.sqrt(np.mean(errors.astype(np.float64) ** 2))),
        max_logit_error=float(errors.max()),
        graph=quantised,
        model=model,
    )


def rank_tries(tries: list[Int8Try]) -> list[Int8Try]:
    """Return what can be had, best first: fewest labels changed, then the smallest logit error, then as listed.

    Among equals a first layer in float32 comes last, smaller as its error is: it is hardly faster than float32, and
    whether it is would be decided by the noise of a clock, so that two exports could differ.
    """
    usable = [item for item in tries if item.graph is not None]
    return sorted(usable, key=lambda item: (item.labels_changed, item.setting.first_in_float, item.rms_logit_error))


def _answer(source: ModelSource, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    with WorkerRuntime(source, RuntimeSettings(), allow_foreign=False) as runtime:
        answers = [runtime.run({"images": piece}) for piece in split_images(images)]
    return tuple(np.concatenate([item[name] for item in answers]) for name in ("logits", "label"))  # type: ignore[return-value]  # two names, two arrays
