"""What long work tells on its way: to nobody, unless a listener is given."""

from __future__ import annotations

__all__ = ["Listener", "NoteKeeper"]

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.api.failures import name_arguments
from toolkit.progress import ShowProgress, show_nothing

if TYPE_CHECKING:
    from toolkit.network.config import NetworkConfig
    from toolkit.runs.history import EpochRow
    from toolkit.training.recipe import Recipe
    from toolkit.training.session import Machine


class Listener:
    """Hears what a function of the library tells on its way; this one is silent. Override what you want to hear."""

    def note(self, words: str) -> None:
        """Hear a remark, one line; what deserves attention begins with `warning: `."""

    def progress(self, label: str, *, unit: str = "") -> AbstractContextManager[ShowProgress]:
        """Hear that a part of the work begins.

        Args:
            label: what is being done.
            unit: what is counted.

        Returns:
            A context manager that ends with the work; what it gives is called with (done, in all or None).
        """
        return show_nothing(label, unit=unit)

    def accept(self) -> None:
        """Hear that what was asked for makes sense and is there, before the long work."""

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
        """Hear that a training begins: its network is built, and `notes` say which images it learns from.

        Args:
            network: its settings.
            machine: where it runs.
            processes: that train together.
            run: its folder.
            notes: which images it learns from, and what was fitted to their number.
            recipe: as it was asked for; None where a run goes on.
        """

    def on_resume(self, messages: list[str]) -> None:
        """Hear from where and how a run goes on."""

    def on_epoch(self, rows: list[EpochRow], *, epochs: int, run: Path) -> None:
        """Hear that an epoch is over and saved; the last row is its own."""

    def reword(self, words: str) -> str:
        """Return a failure's message as the caller can use it: with keyword arguments in the place of options."""
        return name_arguments(words)

    def repeat(self, call: str) -> str:
        """Return what a report names as its command: the call itself, unless something else made it."""
        return call

    def choose(self, *words: str) -> None:
        """Hear what was chosen where nothing was named, as it would be typed."""


class NoteKeeper(Listener):
    """Keeps the remarks for a report, in the caller's words, and passes everything on.

    Attributes:
        notes: what was heard, in order.

    Args:
        listener: the caller's.
    """

    def __init__(self, listener: Listener | None) -> None:
        self.notes: list[str] = []
        self._listener = listener or Listener()
        for name in ("progress", "accept", "on_start", "on_resume", "on_epoch", "reword", "repeat", "choose"):
            setattr(self, name, getattr(self._listener, name))

    def note(self, words: str) -> None:
        """Keep a remark."""
        self.notes.append(self.reword(words))
        self._listener.note(self.notes[-1])
