"""What the user sees while a search or a learning curve runs."""

from __future__ import annotations

__all__ = ["SearchListener"]

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli.output import Output, ProgressBar, repeat_command

if TYPE_CHECKING:
    from toolkit.training.trials import TrialRow


class SearchListener:
    """Tells the user what happens in a search.

    Args:
        output: where words go.
        bar: shows the steps of an epoch.
        repeats_name: whether the command line names the study already, so that repeating it goes on.
    """

    def __init__(self, output: Output, bar: ProgressBar, *, repeats_name: bool) -> None:
        self._output = output
        self._bar = bar
        self._repeats_name = repeats_name

    def on_start(self, *, study: Path, settled: int, trials: int, images: int) -> None:
        """Say where the study lies, how it is judged, and how to go on with it."""
        command = repeat_command() + ("" if self._repeats_name else f" --study {shlex.quote(str(study))}")
        self._output.show(
            f"study {study}: {settled} of {trials} trials done, judged on {images:,} training images only",
            f"if it is stopped, go on with: {command}",
        )

    def on_step(self, done: int, total: int | None) -> None:
        """Move the bar."""
        self._bar(done, total)

    def on_trial(self, row: TrialRow, *, settled: int, trials: int) -> None:
        """Show the trial's line."""
        from toolkit.render_tune import describe_trial

        self._output.show(f"trial {row.number}, {settled} of {trials}: {describe_trial(row)}")
