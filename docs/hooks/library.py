"""The library's names, described by their own docstrings."""

from __future__ import annotations

__all__ = ["PARTS"]

import toolkit


def _list_names() -> str:
    """Return a mark for each public name; mkdocstrings puts its docstring there."""
    return "\n".join(f"::: toolkit.{name}\n" for name in toolkit.__all__ if not name.startswith("_"))


PARTS = {"library": _list_names}
