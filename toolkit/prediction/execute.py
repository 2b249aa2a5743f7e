"""The work of one prediction whose model and output are open: items to rows, counted on the way."""

from __future__ import annotations

__all__ = ["CANDIDATES", "Execution", "measure_batches"]

import math
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from toolkit.environment import usable_cores
from toolkit.prediction.config import AUTO_BATCH
from toolkit.prediction.open_model import DescribedModel, OpenedModel
from toolkit.prediction.pipeline.pipeline import Pipeline
from toolkit.prediction.pipeline.predictor import Predictor
from toolkit.prediction.pipeline.prepare_items import Preparation
from toolkit.prediction.report import GalleryPicker, PredictionReport, Tally
from toolkit.prediction.sinks.sink import open_sink
from toolkit.prediction.sinks.target import StreamTarget
from toolkit.prediction.sources.items import group_items, rows_per_job, skip_rows
from toolkit.prediction.sources.open import find_total, open_items

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import numpy.typing as npt

    from toolkit.card import InputSpec
    from toolkit.prediction.config import PredictionConfig
    from toolkit.prediction.pipeline.blocks import AnsweredBlock, Block
    from toolkit.prediction.pipeline.predictor import BatchRunner
    from toolkit.prediction.ray import RayCluster
    from toolkit.prediction.sinks.sink import Sink
    from toolkit.prediction.sinks.target import Target
    from toolkit.prediction.sources.items import Item
    from toolkit.prediction.truths import Truths
    from toolkit.progress import ShowProgress

CANDIDATES = (16, 32, 64, 128, 256, 512)
# Of one call's input; beyond that, memory is what a larger batch costs.
MOST_BYTES = 64 << 20
WARM_UP_CALLS = 2
SECONDS_EACH = 0.12
LEAST_CALLS = 3
# A smaller batch is taken when it is nearly as fast: its answers come sooner and need less memory.
GOOD_ENOUGH = 0.97


@dataclass(kw_only=True)
class Execution:
    """One prediction under way.

    Attributes:
        config: what was asked for.
        model: the opened model.
        form: a format of the sinks.
        target: the opened output.
        stdin: where an input called `-` reads names from.
        notes: one sentence each about what was left out or chosen.
        cluster: what answers; None for this machine alone.
        processes: decoder processes, or workers of the cluster, that were at work.
        keeper: takes the answers instead of the target; None: they are written as rows.
    """

    config: PredictionConfig
    model: DescribedModel
    form: str
    target: Target
    stdin: BinaryIO
    notes: list[str] = field(default_factory=list)
    cluster: RayCluster | None = None
    processes: int = 0
    keeper: Sink | None = None

    def run(self, progress: ShowProgress | None) -> PredictionReport:
        """Write every row and return the counts; as `run_prediction`."""
        start = time.perf_counter()
        self.notes += self.model.notes
        resumed = self.target.progress.rows
        batch = self._choose_batch()
        tally = Tally(self.target.progress)
        picker = GalleryPicker() if self.config.gallery is not None else None
        total = find_total(self.config.inputs, self.model.card.input) if progress is not None else None
        sink, truths = self.keeper or self._open_sink(), self._open_truths()
        with closing(self._answer(batch)) as answered:
            for block, plain in answered:
                answers = plain if truths is None else replace(plain, truths=truths.of_sources(plain.sources))
                sink.write(answers)
                tally.count(answers)
                self.target.advance(tally.progress)
                if picker is not None and block is not None:
                    picker.see(block, answers)
                if progress is not None:
                    progress(tally.progress.rows, total)
        self.target.finish(sink.finish())
        self.notes += truths.describe() if truths is not None else []
        seconds = time.perf_counter() - start
        return self._report(tally, picker, batch=batch, seconds=seconds, resumed=resumed)

    def _open_truths(self) -> Truths | None:
        if not self.config.truths:
            return None
        from toolkit.prediction.truths import Truths  # which needs what data sets know of classes

        return Truths(self.config.truths, self.model.card.classes)

    def _choose_batch(self) -> int:
        if self.config.batch != AUTO_BATCH:
            return self.config.batch
        assert isinstance(self.model, OpenedModel)
        batch, rates = measure_batches(self.model.runtime, self.model.card.input)
        shown = ", ".join(f"{size}: {rate:,.0f}" for size, rate in rates.items())
        self.notes.append(f"batch {batch} was chosen; images/s by batch: {shown}")
        return batch

    def _open_sink(self) -> Sink:
        sink = open_sink(
            self.form,
            self.target.stream,
            classes=self.model.card.classes,
            probabilities=self.config.probabilities,
            truths=bool(self.config.truths),
        )
        if not self.target.progress.rows:
            sink.begin()
        return sink

    def _answer(self, batch: int) -> Generator[tuple[Block | None, AnsweredBlock], None, None]:
        """Yield every job's answers, in order."""
        if self.cluster is None:
            with self._open_pipeline(batch) as pipeline:
                yield from pipeline.run(self._jobs(batch))
                self.processes = pipeline.num_processes
            return
        self.processes = self.cluster.num_workers
        yield from self.cluster.run(
            self.model, self.config, stdin=self.stdin, progress=self.target.progress, on_note=self.notes.append
        )

    def _open_pipeline(self, batch: int) -> Pipeline:
        assert isinstance(self.model, OpenedModel)
        runs_at_once = self.model.settings.runs_at_once
        predictor = Predictor.of_model(self.model, batch=batch, reentrant=runs_at_once > 1)
        wanted = self.config.processes
        return Pipeline(
            predictor.answer,
            Preparation(spec=self.model.card.input, settings=self.config.settings),
            processes=usable_cores() if wanted is None else wanted,
            runs_at_once=runs_at_once,
        )

    def _jobs(self, batch: int) -> Iterator[list[Item]]:
        done = self.target.progress
        items: Iterator[Item] = open_items(
            self.config.inputs,
            on_note=self.notes.append,
            stdin=self.stdin,
            outputs=self.config.existing_outputs(),
            spec=self.model.card.input,
        )
        if done.rows:
            items = skip_rows(items, done.rows, last=done.last)
        return group_items(items, rows_per_job(batch, self.model.card.input))

    def _report(
        self, tally: Tally, picker: GalleryPicker | None, *, batch: int, seconds: float, resumed: int
    ) -> PredictionReport:
        info, done = self.model.info, tally.progress
        is_file = not isinstance(self.target, StreamTarget)
        return PredictionReport(
            model=self.config.model,
            model_sha256=self.model.source.sha256,
            classes=self.model.card.classes,
            num_ok=done.rows - done.errors,
            num_errors=done.errors,
            num_doubtful=done.doubtful,
            num_resumed=resumed,
            truths=self.config.truths,
            num_truths=done.truths if self.config.truths else None,
            num_right=done.right,
            runtime=info.runtime,
            runtime_version=info.version,
            precision=self.config.engine.precision,
            provider_requested=self.config.engine.provider,
            provider_active=info.provider_active,
            device=info.device,
            fallback=info.fallback,
            fallback_reason=str(info.details.get("fallback_reason", "")),
            batch=batch,
            processes=self.processes,
            seconds=seconds,
            output=self.config.output if is_file else None,
            preview=tuple(tally.preview),
            gallery=tuple(picker.pick()) if picker is not None else (),
            first_error=tally.first_error,
            notes=tuple(self.notes),
        )


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
