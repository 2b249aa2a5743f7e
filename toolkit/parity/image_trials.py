"""The trials of a model of ours: every suite at the main batch size, the first images at the small ones."""

from __future__ import annotations

__all__ = ["image_trials"]

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.parity.config import WHOLE_BATCH, ParityConfig
from toolkit.parity.reference import Reference
from toolkit.parity.suites import spread_indices
from toolkit.parity.trial import Engine, Trial, make_trial

# An engine below this takes more than 20 s for MNIST's 10,000 test images, a reference evaluator more than a minute.
SLOW_IMAGES_PER_S = 500.0
SLOW_SAMPLE = 1_000
# One below this takes minutes for the small batches too. Each is then run on one full batch and a rest of one image.
VERY_SLOW_IMAGES_PER_S = 50.0
RATE_RUNS = 3


def image_trials(engine: Engine, reference: Reference, config: ParityConfig) -> Iterator[Trial]:
    """Yield the trials of one engine; one slower than `SLOW_IMAGES_PER_S` gets a sample of the test images."""
    test = reference.suites[0]
    rate = _images_per_s(engine, test.suite.images[:WHOLE_BATCH])
    judged = test[spread_indices(len(test.logits), SLOW_SAMPLE)] if rate < SLOW_IMAGES_PER_S else test
    yield make_trial(judged, WHOLE_BATCH, available=len(test.logits))
    for entry in reference.suites[1:]:
        yield make_trial(entry, WHOLE_BATCH)
    for batch in config.small_batches:
        count = config.small_count if rate >= VERY_SLOW_IMAGES_PER_S else min(config.small_count, batch + 1)
        yield make_trial(judged[:count], batch)


def _images_per_s(engine: Engine, images: NDArray[np.uint8]) -> float:
    try:
        engine.run({"images": images})  # some compile at the first batch
    except ModelError:
        return float("inf")  # the trial itself says what is wrong
    # The fastest of a few: a busy machine does not make an engine slow.
    times = []
    for _ in range(RATE_RUNS):
        start = time.perf_counter()
        engine.run({"images": images})
        times.append(time.perf_counter() - start)
    return len(images) / min(times)
