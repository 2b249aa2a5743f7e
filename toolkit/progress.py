"""What long work is handed to tell its caller on the way: how far it is, and remarks."""

from __future__ import annotations

__all__ = ["OnNote", "ShowProgress"]

from collections.abc import Callable

# Called with what is done and with all there is to do, in one unit; None where that is not known beforehand.
ShowProgress = Callable[[int, int | None], None]
# Called with one line for a person.
OnNote = Callable[[str], None]
