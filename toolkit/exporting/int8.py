"""An int8 file: settings ranked on what a training holds out, and the best one that is faster than float32."""

from __future__ import annotations

__all__ = ["CALIBRATION_SEED", "Int8Choice", "calibration_images", "choose_int8"]

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from toolkit.data.dataset import Dataset
from toolkit.exporting.int8_speed import compare_speed
from toolkit.exporting.int8_tries import SETTINGS, Int8Try, Ranking, rank_tries, try_setting
from toolkit.exporting.reference import split_training
from toolkit.runtimes.empirical_bound import bound_from_errors
from toolkit.runtimes.source import ModelSource

CALIBRATION_SEED = 0
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Choice:
    """The try that goes on to the test images.

    Attributes:
        chosen: the best try that is faster than float32; None where there is none.
        tries: all of them, in the order of `SETTINGS`.
        ranking_count: images that ranked them.
        bound: the largest logit error that its file may show: twice the largest that was seen, and the float32 bound.
    """

    chosen: Int8Try | None
    tries: tuple[Int8Try, ...]
    ranking_count: int
    bound: float = 0.0


def calibration_images(data: Dataset, count: int) -> NDArray[np.uint8]:
    """Return a seeded sample of the training images, none of those that rank; all where there are no more."""
    images = split_training(data)[0].images
    chosen = np.random.default_rng(CALIBRATION_SEED).permutation(len(images))[:count]
    return images[np.sort(chosen)]


def choose_int8(
    graph: onnx.ModelProto,
    fp32: ModelSource,
    data: Dataset,
    *,
    bound: float,
    calibration: NDArray[np.uint8],
    provider: str,
    log: Path,
    progress: Progress | None = None,
) -> Int8Choice:
    """Try every setting, rank them, and take the first that is faster than float32.

    Args:
        graph: traced, float32.
        fp32: the file made from it.
        data: what it was trained on; its test images are not looked at.
        bound: the float32 file's.
        calibration: uint8 `[N, ...]`.
        provider: where it has to be faster.
        log: what the quantiser prints is added to it.
        progress: called with the settings done and their number.
    """
    ranking = Ranking.of(fp32, split_training(data)[1])
    tries = []
    for name in SETTINGS:
        tries.append(try_setting(name, graph, calibration, ranking, log=log))
        if progress is not None:
            progress(len(tries), len(SETTINGS))
    seen = {item.name: item for item in tries}
    chosen = None
    for item in rank_tries(tries):
        timed = _time(item, fp32, ranking.split.images, provider=provider)
        seen[item.name] = timed
        if timed.status == "chosen":
            chosen = timed
            break
    count = len(ranking.split)
    if chosen is None or chosen.max_logit_error is None:
        return Int8Choice(chosen=None, tries=tuple(seen.values()), ranking_count=count)
    return Int8Choice(
        chosen=chosen,
        tries=tuple(seen.values()),
        ranking_count=count,
        bound=bound_from_errors(np.array(chosen.max_logit_error + bound)),
    )


def _time(item: Int8Try, fp32: ModelSource, images: NDArray[np.uint8], *, provider: str) -> Int8Try:
    rows = compare_speed(fp32, ModelSource.in_memory(item.model, Path(item.name)), images, provider=provider)
    slower = [row for row in rows if not row.ratio > 1]
    if not slower:
        return replace(item, status="chosen", speed=rows)
    reason = f"not faster at batch {slower[0].batch}: {slower[0].ratio:.2f} times float32's speed"
    return replace(item, status="slower", reason=reason, speed=rows)
