"""What long work is handed to tell its caller on the way: what it does, how far it is, and remarks."""

from __future__ import annotations

__all__ = ["OnNote", "ShowProgress", "ShowWork", "heard_by", "show_nothing", "tell_nobody"]

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

# Called with what is done and with all there is to do, in one unit, where something may be done in part; None where
# it is not known beforehand.
ShowProgress = Callable[[float, float | None], None]
# Called with one line for a person.
OnNote = Callable[[str], None]


class ShowWork(Protocol):
    """Called with what is being done; the block that it opens ends with the work, and may tell how far it is."""

    def __call__(self, label: str, *, unit: str = "") -> AbstractContextManager[ShowProgress]:
        """Return a block for a part of the work, whose progress is counted in a unit."""


def show_nothing(label: str, *, unit: str = "") -> AbstractContextManager[ShowProgress]:
    """Tell nobody."""
    del label, unit
    return nullcontext(tell_nobody)


def tell_nobody(done: float, total: float | None) -> None:
    """Drop what is told."""
    del done, total


def heard_by(bar: ShowProgress) -> ShowProgress | None:
    """Return what is told how far it is; None where nobody sees it, so that nothing has to be counted for it."""
    return bar if bar is not tell_nobody and getattr(bar, "is_shown", True) else None
