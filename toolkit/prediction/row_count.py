"""How many rows the inputs will give, counted beside the work: a million names take a moment to list."""

from __future__ import annotations

__all__ = ["RowCount"]

import threading
from typing import TYPE_CHECKING

from toolkit.errors import ToolkitError
from toolkit.prediction.counting import count_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from toolkit.card import InputSpec


class RowCount:
    """Counts in a thread of its own.

    Attributes:
        known: the count; None while it is not known, and for ever where it cannot be.
    """

    def __init__(self, inputs: Sequence[Path], spec: InputSpec) -> None:
        self.known: int | None = None
        threading.Thread(target=self._count, args=(inputs, spec), daemon=True, name="count").start()

    def _count(self, inputs: Sequence[Path], spec: InputSpec) -> None:
        try:
            self.known = count_rows(inputs, spec=spec)
        except (ToolkitError, OSError):
            self.known = None  # the work itself meets it and says so; a progress bar needs no reason
