"""What the user sees while training: words, a bar, a picture after every epoch, TensorBoard where asked for."""

from __future__ import annotations

__all__ = ["TrainingListener"]

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.output import Output, ProgressBar, draw_picture

if TYPE_CHECKING:
    from toolkit.network.config import NetworkConfig
    from toolkit.runs.history import EpochRow
    from toolkit.training.session import Machine


class TrainingListener:
    """Tells the user what happens.

    Args:
        output: where words go.
        bar: shows the steps of an epoch.
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
        from toolkit.plots.canvas import draw_history

        self._output.show(rows[-1].describe(epochs))
        start = time.monotonic()
        if rows[-1].epoch == epochs or start >= self._draws_at:
            draw_picture(run / "history.png", lambda: draw_history(rows))
            end = time.monotonic()
            self._draws_at = end + 10 * (end - start)
        if self.board is not None:
            self.board.add_epoch(rows[-1])
