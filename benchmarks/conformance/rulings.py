"""Cases in which a witness is wrong by the standard's own text."""

from __future__ import annotations

__all__ = ["RULINGS", "find_ruling"]

# The beginning of a case's name, and the text that decides against the engines that part.
RULINGS: dict[str, str] = {}


def find_ruling(name: str) -> str:
    """Return the text that decides a case; empty where none was looked up."""
    return next((text for start, text in RULINGS.items() if name.startswith(start)), "")
