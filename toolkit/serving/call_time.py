"""How long a call takes by its rows: a straight line, measured at the start and followed."""

from __future__ import annotations

__all__ = ["CallTime"]

# What a call tells loses half of its weight after some 35 others: a machine that slows down is known within those.
KEPT = 0.98


class CallTime:
    """The line a + b x rows of least squares through the calls of late, in seconds; neither is below 0."""

    def __init__(self) -> None:
        self._calls = self._rows = self._seconds = self._squares = self._products = 0.0
        # The seconds of a call and the seconds of a row.
        self._line = 0.0, 0.0

    def add(self, rows: int, seconds: float) -> None:
        """Take a call into account."""
        self._calls = self._calls * KEPT + 1
        self._rows = self._rows * KEPT + rows
        self._seconds = self._seconds * KEPT + seconds
        self._squares = self._squares * KEPT + rows * rows
        self._products = self._products * KEPT + rows * seconds
        self._line = self._fit()

    def predict(self, rows: int, *, calls: int = 1) -> float:
        """Return how many seconds so many rows take in so many calls; 0 before the first call."""
        per_call, per_row = self._line
        return calls * per_call + rows * per_row

    def _fit(self) -> tuple[float, float]:
        mean_rows, mean_seconds = self._rows / self._calls, self._seconds / self._calls
        spread = self._squares / self._calls - mean_rows * mean_rows
        # Calls of one size alone, or nearly, tell no slope: all their time is the rows'.
        slope = (
            (self._products / self._calls - mean_rows * mean_seconds) / spread if spread > 1e-6 * mean_rows**2 else 0.0
        )
        slope = min(slope, mean_seconds / mean_rows) if slope > 0 else mean_seconds / mean_rows
        return mean_seconds - slope * mean_rows, slope
