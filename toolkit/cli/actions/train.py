"""What `toolkit train` does: train, or go on with a run, judge it, and tell the user on the way."""

from __future__ import annotations

__all__ = ["TrainingListener", "resume_training", "run_training", "show_result"]

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from toolkit.artifacts import ArtifactStore
from toolkit.cli.output import Output, ProgressBar, draw_picture, warn

if TYPE_CHECKING:
    from toolkit.data import Dataset
    from toolkit.evaluation.accuracy import AccuracyReport
    from toolkit.network.config import NetworkConfig
    from toolkit.runs.history import EpochRow
    from toolkit.training.config import ResumeConfig, TrainConfig
    from toolkit.training.session import Machine
    from toolkit.training.train import TrainReport

# What was trained, its accuracy, and all that was warned of; None in processes that only help another.
Result: TypeAlias = "tuple[TrainReport, AccuracyReport, list[str]] | None"


def run_training(dataset: Dataset, config: TrainConfig, *, output: Output, tensorboard: bool = False) -> Result:
    """Train, evaluate and draw, telling the user what happens."""
    from toolkit.render.training import recipe_lines
    from toolkit.training.train import train

    warn(dataset.describe_gaps())
    with output.progress("training", unit="steps") as bar:
        listener = TrainingListener(output, bar, tensorboard=tensorboard, words=recipe_lines(config.recipe))
        report = train(dataset, config, store=ArtifactStore.default(), listener=listener)
    with output.progress("judging the run on the test images"):
        return _judge_run(report, dataset, listener=listener)


def resume_training(
    run: Path, dataset: Dataset, *, config: ResumeConfig, output: Output, tensorboard: bool = False
) -> Result:
    """Go on with a run; the rest as `run_training`."""
    from toolkit.training.resume import resume_run

    warn(dataset.describe_gaps())
    with output.progress("training", unit="steps") as bar:
        listener = TrainingListener(output, bar, tensorboard=tensorboard, words=[])
        report = resume_run(run, dataset, config=config, store=ArtifactStore.default(), listener=listener)
    with output.progress("judging the run on the test images"):
        return _judge_run(report, dataset, listener=listener)


def show_result(result: Result, *, output: Output) -> None:
    """Say how good the run is and where it lies; nothing in a process that only helps another."""
    if result is None:
        return
    from toolkit.render.ending import ending_lines, list_run_files, next_steps

    report, accuracy, warnings = result
    files = list_run_files(report.run)
    model = ArtifactStore.default().model_path(report.run.name)
    output.report(
        {
            "run": str(report.run),
            "evaluation": accuracy.to_json(),
            "checkpoint_sha256": report.checkpoint_sha256,
            "warnings": warnings,
            "files": list(map(str, files)),
        },
        f"test accuracy {accuracy.describe()}",
        *ending_lines(files, next_steps(report.run, model, is_exported=False)),
    )


def _judge_run(report: TrainReport, dataset: Dataset, *, listener: TrainingListener) -> Result:
    """Judge a run on the test images, write its report and pictures, and warn where chance would do as well."""
    from toolkit.cli.actions.evaluate import write_evaluation
    from toolkit.evaluation.evaluate import evaluate_run, find_mistakes

    if not report.is_main:
        return None
    result = evaluate_run(report.run, dataset)
    whose = {"run": str(report.run), "checkpoint": "last.safetensors"}
    path = report.run / "evaluation.json"
    write_evaluation(result, dataset.test.images, classes=dataset.classes, path=path, extra=whose)
    if listener.board is not None:
        mistakes = find_mistakes(result, dataset.classes)
        images = dataset.test.images[[item.index for item in mistakes]]
        captions = [f"{item.predicted} (was {item.label})" for item in mistakes]
        listener.board.add_mistakes(images, captions, epoch=len(report.rows))
        listener.board.close()
    doubts = result.report.describe_chance(dataset.classes)
    warn(doubts)
    return report, result.report, [*dataset.describe_gaps(), *doubts]


class TrainingListener:
    """What the user sees while training: words, a bar, a picture after every epoch, TensorBoard where asked for.

    Args:
        output: where words go.
        bar: shows the steps of all epochs.
        tensorboard: whether to write TensorBoard events into the run.
        words: said before the training.
    """

    def __init__(self, output: Output, bar: ProgressBar, *, tensorboard: bool, words: Iterable[str]) -> None:
        self._output = output
        self.on_step = bar
        self._words = tuple(words)
        self._draws_at = 0.0
        self.board = None
        if tensorboard:
            from toolkit.training.tensorboard import Board

            self.board = Board()

    def on_start(
        self, *, network: NetworkConfig, machine: Machine, processes: int, run: Path, notes: list[str]
    ) -> None:
        """Show the recipe, what it is trained on, the layers and where the training runs."""
        from toolkit.render.training import layer_table

        helpers = f" over {processes} processes" if processes > 1 else ""
        where = f"training on {machine.device}{helpers} with {machine.precision} products into {run}"
        self._output.show(*self._words, *notes, layer_table(network.layer_shapes()), where)
        if self.board is not None:
            self.board.open(run, network)

    def on_resume(self, messages: list[str]) -> None:
        """Say from where and how a run goes on."""
        self._output.show(*messages)

    def on_epoch(self, rows: list[EpochRow], *, epochs: int, run: Path) -> None:
        """Show the epoch's line and refresh `history.png`: at the end, before that for a tenth of the time at most."""
        from toolkit.plots.training import draw_history

        self._output.show(rows[-1].describe(epochs))
        start = time.monotonic()
        if rows[-1].epoch == epochs or start >= self._draws_at:
            draw_picture(run / "history.png", lambda: draw_history(rows))
            end = time.monotonic()
            self._draws_at = end + 10 * (end - start)
        if self.board is not None:
            self.board.add_epoch(rows[-1])
