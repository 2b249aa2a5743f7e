"""The product's code as griffe reads it, without importing it."""

from __future__ import annotations

__all__ = ["ROOT", "read_code"]

from functools import cache
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parents[2]


@cache
def read_code() -> Any:
    """Return the package `toolkit`: its members by name, with their docstrings."""
    return griffe.load("toolkit", search_paths=[ROOT], docstring_parser="google", resolve_aliases=True)
