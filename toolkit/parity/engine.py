"""One engine run over every suite and batch size."""

from __future__ import annotations

__all__ = ["SuiteOutcome", "run_engine"]

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.parity.config import ParityConfig
from toolkit.parity.judge import Judgement, judge_outputs
from toolkit.parity.reference import Reference, SuiteReference
from toolkit.parity.suites import spread_indices

# An engine below this takes more than 20 s for MNIST's 10,000 test images, a reference evaluator more than a minute.
SLOW_IMAGES_PER_S = 500.0
SLOW_SAMPLE = 1_000
RATE_RUNS = 3


class Engine(Protocol):
    """Anything that runs feeds."""

    def run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return every output by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOutcome:
    """What one pass over one suite showed.

    Attributes:
        suite: the suite's name.
        batch: the batch size.
        images: images judged.
        judgement: the verdict.
    """

    suite: str
    batch: int
    images: int
    judgement: Judgement


def run_engine(engine: Engine, reference: Reference, config: ParityConfig) -> list[SuiteOutcome]:
    """Judge an engine on every suite at the main batch size, and on the first images at the small ones.

    One that is slower than `SLOW_IMAGES_PER_S` gets a sample of the test images.
    """
    test = reference.suites[0]
    if _images_per_s(engine, test.suite.images[: config.batch]) < SLOW_IMAGES_PER_S:
        sampled = test[spread_indices(len(test.logits), SLOW_SAMPLE)]
        reference = replace(reference, suites=(sampled, *reference.suites[1:]))
    return [
        SuiteOutcome(
            suite=entry.suite.name,
            batch=batch,
            images=len(entry.suite.images),
            judgement=judge_outputs(_run_batches(engine, entry.suite.images, batch), entry),
        )
        for entry, batch in _plan(reference, config)
    ]


def _plan(reference: Reference, config: ParityConfig) -> Iterator[tuple[SuiteReference, int]]:
    for entry in reference.suites:
        yield entry, config.batch
    test = reference.suites[0]
    for batch in config.small_batches:
        yield test[: config.small_count], batch


def _images_per_s(engine: Engine, images: NDArray[np.uint8]) -> float:
    engine.run({"images": images})  # some compile at the first batch
    # The fastest of a few: a busy machine does not make an engine slow.
    times = []
    for _ in range(RATE_RUNS):
        start = time.perf_counter()
        engine.run({"images": images})
        times.append(time.perf_counter() - start)
    return len(images) / min(times)


def _run_batches(engine: Engine, images: NDArray[np.uint8], batch: int) -> dict[str, NDArray[Any]]:
    answers = [engine.run({"images": images[start : start + batch]}) for start in range(0, len(images), batch)]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
