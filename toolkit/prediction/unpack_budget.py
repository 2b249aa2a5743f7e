"""How much may be unpacked: what an archive bomb runs into, whatever its headers claim."""

from __future__ import annotations

__all__ = ["FREE_BYTES", "MAX_RATIO", "UnpackBudget"]

from toolkit.errors import DataError

# Deflate's own limit is 1,032; pictures do not come near.
MAX_RATIO = 1000
# A small archive of a few blank pictures is no bomb.
FREE_BYTES = 128 << 20


class UnpackBudget:
    """Counts the bytes that come out of one archive or compressed file.

    Args:
        name: what it is called in messages.
        packed_bytes: its size.

    Attributes:
        left_bytes: how many more may come out.
    """

    def __init__(self, name: str, *, packed_bytes: int) -> None:
        self._name = name
        self._packed_bytes = packed_bytes
        self.left_bytes = MAX_RATIO * packed_bytes + FREE_BYTES

    @property
    def is_spent(self) -> bool:
        """Whether more came out than may."""
        return self.left_bytes < 0

    def spend(self, count: int) -> None:
        """Take note of `count` more bytes.

        Raises:
            DataError: that is more than any honest archive of this size holds.
        """
        self.left_bytes -= count
        if self.is_spent:
            size = f"its {self._packed_bytes} bytes unpack to more than {MAX_RATIO} times as many"
            raise DataError(f"{self._name} is an archive bomb: {size}; the rest was not opened")
