"""What long work is handed to tell its caller on the way: what it does, how far it is, and remarks."""

from __future__ import annotations

__all__ = ["OnNote", "ShowProgress", "ShowWork", "show_nothing"]

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
    return nullcontext(lambda _, __: None)
