"""Is the int8 file faster than the float32 one? Both open in processes of their own, timed in turns."""

from __future__ import annotations

__all__ = ["BATCHES", "SpeedRow", "compare_speed", "require_provider"]

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.first_run import run_first
from toolkit.runtimes.measure import MeasurePlan
from toolkit.runtimes.process import WorkerRuntime
from toolkit.runtimes.source import ModelSource

BATCHES = (1, 64)
# A neighbour on the machine slows a stretch of time down: many short turns meet it alike.
ROUNDS = 15
PLAN = MeasurePlan(warmup_calls=2, warmup_s=0.02, min_calls=5, min_s=0.06, max_s=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedRow:
    """Both files at one batch size.

    Attributes:
        provider: active while measuring.
        batch: images in one call.
        fp32_ms: median over the rounds of the median time of one call.
        int8_ms: the same of the int8 file.
        ratio: median over the rounds of float32's time to int8's; over 1 where int8 is faster.
        ratio_least: the smallest of them.
        ratio_most: the largest of them.
        rounds: turns that each file had.
        samples: calls counted, both files together.
    """

    provider: str
    batch: int
    fp32_ms: float
    int8_ms: float
    ratio: float
    ratio_least: float
    ratio_most: float
    rounds: int
    samples: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def require_provider(source: ModelSource, images: NDArray[np.uint8], *, provider: str) -> None:
    """Open a file where int8 will have to be faster and run one image, before anything is made.

    Raises:
        ProviderError: the provider is not active, or cannot run the file.
    """
    with WorkerRuntime(source, RuntimeSettings(provider=provider)) as worker:
        run_first(worker, {"images": images[:1]})


def compare_speed(
    fp32: ModelSource, int8: ModelSource, images: NDArray[np.uint8], *, provider: str
) -> tuple[SpeedRow, ...]:
    """Time two files in turns, host to host, with all threads.

    Args:
        fp32: the file that int8 is compared with.
        int8: the other one.
        images: uint8 `[N, ...]`; the first ones are fed.
        provider: where; it must be active.

    Raises:
        ProviderError: it is not.
        ModelError: an engine refuses a file.
    """
    settings = RuntimeSettings(provider=provider)
    with WorkerRuntime(fp32, settings) as slow, WorkerRuntime(int8, settings) as fast:
        for worker in (slow, fast):
            run_first(worker, {"images": images[:1]})
        return tuple(_compare(slow, fast, images[:batch]) for batch in BATCHES)


def _compare(slow: WorkerRuntime, fast: WorkerRuntime, images: NDArray[np.uint8]) -> SpeedRow:
    medians = np.zeros((ROUNDS, 2))
    samples = 0
    for index in range(ROUNDS):
        order = ((0, slow), (1, fast)) if index % 2 == 0 else ((1, fast), (0, slow))
        for column, worker in order:
            times_ns = worker.measure({"images": images}, PLAN)["samples_ns"]
            medians[index, column] = np.median(times_ns) / 1e6
            samples += len(times_ns)
    ratios = medians[:, 0] / medians[:, 1]
    return SpeedRow(
        provider=fast.info.provider_active,
        batch=len(images),
        fp32_ms=float(np.median(medians[:, 0])),
        int8_ms=float(np.median(medians[:, 1])),
        ratio=float(np.median(ratios)),
        ratio_least=float(ratios.min()),
        ratio_most=float(ratios.max()),
        rounds=ROUNDS,
        samples=samples,
    )
