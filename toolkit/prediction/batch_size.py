"""The batch that answers most images a second, measured on this machine with this model."""

from __future__ import annotations

__all__ = ["CANDIDATES", "measure_batches"]

import math
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from toolkit.card import InputSpec
    from toolkit.prediction.engine import BatchRunner

CANDIDATES = (16, 32, 64, 128, 256, 512)
# Of one call's input; beyond that, memory is what a larger batch costs.
MOST_BYTES = 64 << 20
WARM_UP_CALLS = 2
SECONDS_EACH = 0.12
LEAST_CALLS = 3
# A smaller batch is taken when it is nearly as fast: its answers come sooner and need less memory.
GOOD_ENOUGH = 0.97


def measure_batches(
    runner: BatchRunner,
    spec: InputSpec,
    *,
    candidates: Sequence[int] = CANDIDATES,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[int, dict[int, float]]:
    """Return the smallest batch within 3 % of the best rate, and the images per second of each candidate.

    Every candidate runs for about 0.12 s on noise, after two calls that are not counted.
    """
    most = max(1, MOST_BYTES // math.prod(spec.shape))
    usable = [batch for batch in candidates if batch <= most] or [most]
    noise = np.random.default_rng(0).integers(0, 256, (max(usable), *spec.shape), dtype=np.uint8)
    rates = {batch: _measure(runner, noise[:batch], clock=clock) for batch in usable}
    best = max(rates.values())
    return next(batch for batch in usable if rates[batch] >= GOOD_ENOUGH * best), rates


def _measure(runner: BatchRunner, images: npt.NDArray[np.uint8], *, clock: Callable[[], float]) -> float:
    for _ in range(WARM_UP_CALLS):
        runner.run({"images": images})
    times: list[float] = []
    start = clock()
    while len(times) < LEAST_CALLS or clock() - start < SECONDS_EACH:
        begin = clock()
        runner.run({"images": images})
        times.append(clock() - begin)
    return len(images) / float(np.median(times))
