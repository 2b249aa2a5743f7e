"""What `toolkit train` does: train, or go on with a run, judge it, and tell the user on the way."""

from __future__ import annotations

__all__ = ["TrainingListener", "show_result", "train_and_draw"]

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.api.train import train
from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.evaluate import write_evaluation
from toolkit.cli.hearing import CommandListener
from toolkit.cli.output import Output, draw_picture

if TYPE_CHECKING:
    from toolkit.api.run_report import RunReport
    from toolkit.network.config import NetworkConfig
    from toolkit.runs.history import EpochRow
    from toolkit.training.recipe import Recipe
    from toolkit.training.session import Machine


def train_and_draw(options: dict[str, Any], *, output: Output, tensorboard: bool = False) -> RunReport:
    """Train, or go on, telling the user what happens, and draw what the run's evaluation shows.

    Args:
        options: of the training, as `toolkit.train` takes them.
        output: where words go.
        tensorboard: whether to write TensorBoard events into the run.
    """
    listener = TrainingListener(output, tensorboard=tensorboard)
    report = train(**options | {"listener": listener})
    if report.judged is not None:
        write_evaluation(report.judged, path=report.run / "evaluation.json")
        listener.close(report)
    return report


def show_result(report: RunReport, *, output: Output) -> None:
    """Say how good the run is and where it lies; nothing in a process that only helps another."""
    if report.judged is None:
        return
    from toolkit.render.ending import ending_lines, list_run_files, next_steps

    files = list_run_files(report.run)
    model = ArtifactStore.default().model_path(report.run.name)
    output.report(
        {**report.to_json(), "files": list(map(str, files))},
        f"test accuracy {report.judged.figures.describe()}",
        *ending_lines(files, next_steps(report.run, model, is_exported=False)),
    )


class TrainingListener(CommandListener):
    """What the user sees while training: words, a bar, a picture after every epoch, TensorBoard where asked for.

    Args:
        output: where words go.
        tensorboard: whether to write TensorBoard events into the run.
    """

    def __init__(self, output: Output, *, tensorboard: bool = False) -> None:
        super().__init__(output)
        self._draws_at = 0.0
        self.board = None
        if tensorboard:
            from toolkit.training.tensorboard import Board

            self.board = Board()

    def on_start(
        self,
        *,
        network: NetworkConfig,
        machine: Machine,
        processes: int,
        run: Path,
        notes: list[str],
        recipe: Recipe | None,
    ) -> None:
        """Show the recipe, what it is trained on, the layers and where the training runs."""
        from toolkit.render.training import layer_table, recipe_lines

        helpers = f" over {processes} processes" if processes > 1 else ""
        where = f"training on {machine.device}{helpers} with {machine.precision} products into {run}"
        words = [] if recipe is None else recipe_lines(recipe)
        self.output.show(*words, *notes, layer_table(network.layer_shapes()), where)
        if self.board is not None:
            self.board.open(run, network)

    def on_resume(self, messages: list[str]) -> None:
        """Say from where and how a run goes on."""
        self.output.show(*messages)

    def on_epoch(self, rows: list[EpochRow], *, epochs: int, run: Path) -> None:
        """Show the epoch's line and refresh `history.png`: at the end, before that for a tenth of the time at most."""
        from toolkit.plots.training import draw_history

        self.output.show(rows[-1].describe(epochs))
        start = time.monotonic()
        if rows[-1].epoch == epochs or start >= self._draws_at:
            draw_picture(run / "history.png", lambda: draw_history(rows))
            end = time.monotonic()
            self._draws_at = end + 10 * (end - start)
        if self.board is not None:
            self.board.add_epoch(rows[-1])

    def close(self, report: RunReport) -> None:
        """Add the mistakes to TensorBoard's events and close them."""
        if self.board is None:
            return
        judged, mistakes = report.evaluation, report.evaluation.mistakes
        captions = [f"{item.predicted} (was {item.label})" for item in mistakes]
        images = judged.images[[item.index for item in mistakes]]
        self.board.add_mistakes(images, captions, epoch=len(report.rows))
        self.board.close()
