"""How large an image may be, wherever it comes from."""

from __future__ import annotations

__all__ = ["MAX_FILE_BYTES", "MAX_PIXELS"]

MAX_PIXELS = 40_000_000
MAX_FILE_BYTES = 128 << 20
