"""Defaults of the library's functions as values: in the code they are the names of those that hold them."""

from __future__ import annotations

__all__ = ["Defaults"]

import importlib
import inspect
from typing import Any

import griffe

PLAIN = (str, int, float, tuple, type(None))


class Defaults(griffe.Extension):
    """Told by griffe of each function that it has read."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Put the value in the place of its name."""
        named = [item for item in func.parameters if isinstance(item.default, griffe.ExprName | griffe.ExprAttribute)]
        if not (named and func.path.startswith(("toolkit.api.", "toolkit.prediction.classifier.Classifier."))):
            return
        owner: Any = importlib.import_module(func.module.path)
        for part in func.path.removeprefix(f"{func.module.path}.").split("."):
            owner = getattr(owner, part)
        values = inspect.signature(owner).parameters
        for item in named:
            if isinstance(values[item.name].default, PLAIN):
                item.default = repr(values[item.name].default)
