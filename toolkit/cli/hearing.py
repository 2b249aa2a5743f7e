"""How a command hears of the library's work: remarks and bars to the terminal, the words typed into the report."""

from __future__ import annotations

__all__ = ["CommandListener"]

from contextlib import AbstractContextManager
from pathlib import Path

from toolkit.api.listener import Listener
from toolkit.artifacts import ArtifactStore
from toolkit.cli.context import announce_model
from toolkit.cli.output import Output, fill_in, note, repeat_command
from toolkit.progress import ShowProgress, show_nothing


class CommandListener(Listener):
    """Shows what it hears.

    Args:
        output: where words and bars go.
        announced: the model to be named once the work is accepted: refusals are one line. None: none is.
        shows_bars: whether bars may be drawn where the output goes.
    """

    def __init__(self, output: Output, *, announced: Path | None = None, shows_bars: bool = True) -> None:
        self.output = output
        self._announced = announced
        self._shows_bars = shows_bars

    def note(self, words: str) -> None:
        """Write a remark to stderr."""
        note(words)

    def progress(self, label: str, *, unit: str = "") -> AbstractContextManager[ShowProgress]:
        """Show a bar at the terminal's foot."""
        return self.output.progress(label, unit=unit) if self._shows_bars else show_nothing(label, unit=unit)

    def accept(self) -> None:
        """Name the model."""
        if self._announced is not None:
            announce_model(self._announced, store=ArtifactStore.default())

    def reword(self, words: str) -> str:
        """Return the message: its options are those of the command."""
        return words

    def repeat(self, call: str) -> str:
        """Return the command as it was typed, and what was filled in."""
        del call
        return repeat_command()

    def choose(self, *words: str) -> None:
        """Note what was chosen, so that the command names it."""
        fill_in(*words)
