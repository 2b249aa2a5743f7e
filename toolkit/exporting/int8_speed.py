"""Is the int8 file faster than the float32 one? Both open in processes of their own, timed in turns."""

from __future__ import annotations

__all__ = ["BATCHES", "SpeedRow", "compare_speed", "require_provider"]

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.intervals import median_interval
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.first_run import run_first
from toolkit.runtimes.measure_plan import MeasurePlan
from toolkit.runtimes.process import WorkerRuntime
from toolkit.runtimes.source import ModelSource

BATCHES = (1, 64)
# A neighbour on the machine slows a stretch of time down: many short turns meet it alike. On a quiet machine the fewest
# do; where the ratio is not clear of 1 there are more.
LEAST_ROUNDS = 12
MOST_ROUNDS = 60
PLAN = MeasurePlan(warmup_calls=2, warmup_s=0.02, min_calls=5, min_s=0.05, max_s=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedRow:
    """Both files at one batch size.

    Attributes:
        provider: active while measuring.
        batch: images in one call.
        fp32_ms: median over the rounds of the median time of one call.
        int8_ms: the same of the int8 file.
        ratio: median over the rounds of float32's time to int8's; over 1 where int8 is faster.
        ratio_ci95: 95 % interval of that median.
        rounds: turns that each file had.
        samples: calls counted, both files together.
    """

    provider: str
    batch: int
    fp32_ms: float
    int8_ms: float
    ratio: float
    ratio_ci95: tuple[float, float]
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
    turns: list[tuple[float, float]] = []
    samples = 0
    while True:
        # Each goes first every other time.
        workers = (slow, fast) if len(turns) % 2 == 0 else (fast, slow)
        times_ns = {id(worker): worker.measure({"images": images}, PLAN).samples_ns for worker in workers}
        samples += sum(map(len, times_ns.values()))
        turns.append((float(np.median(times_ns[id(slow)])), float(np.median(times_ns[id(fast)]))))
        ratios = [before / after for before, after in turns]
        if len(turns) >= MOST_ROUNDS or (len(turns) >= LEAST_ROUNDS and _is_clear(ratios)):
            break
    medians_ms = np.median(turns, axis=0) / 1e6
    return SpeedRow(
        provider=fast.info.provider_active,
        batch=len(images),
        fp32_ms=float(medians_ms[0]),
        int8_ms=float(medians_ms[1]),
        ratio=float(np.median(ratios)),
        ratio_ci95=median_interval(ratios),
        rounds=len(turns),
        samples=samples,
    )


def _is_clear(ratios: list[float]) -> bool:
    low, high = median_interval(ratios)
    return low > 1 or high < 1
