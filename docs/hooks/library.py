"""The library's names, described by their own docstrings."""

from __future__ import annotations

__all__ = ["PARTS"]

from collections.abc import Iterator

import griffe
from source import read_code

import toolkit

# In the order of the work.
FIRST = ("train", "export", "evaluate", "check_parity", "predict", "benchmark", "diagnose")


def _list_names() -> str:
    """Return a mark for each public name but the exceptions; mkdocstrings puts its docstring there."""
    rest = [name for name in toolkit.__all__ if not name.startswith("_") and name not in {*FIRST, "errors"}]
    marks = [f"::: toolkit.{name}" for name in (*FIRST, *rest)]
    answers = dict.fromkeys(path for name in FIRST for path in _returned(name) if path.rpartition(".")[2] not in rest)
    told = [f"::: {path}\n    options: {{heading_level: 3}}" for path in answers]
    return "\n\n".join([*marks, "## What they return", *told])


def _returned(name: str) -> Iterator[str]:
    """Yield the paths of what a function returns."""
    function = read_code()[name].final_target
    annotation = function.returns
    for part in annotation.iterate(flat=True) if isinstance(annotation, griffe.Expr) else ():
        if isinstance(part, griffe.ExprName) and part.canonical_path.startswith("toolkit."):
            yield part.canonical_path


PARTS = {"library": _list_names}
