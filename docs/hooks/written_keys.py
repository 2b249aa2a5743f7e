"""Which keys a record's `to_json` writes, by its text: those it names, and the fields that it writes as they are."""

from __future__ import annotations

__all__ = ["find_keys"]

import ast
import importlib
import re
import textwrap
from collections.abc import Iterable
from typing import Any

DUMPS = re.compile(r"(?:to_plain|asdict)\(self\)|in self\.__dataclass_fields__")
# Or those fields that a constant of the module names.
SELECTS = re.compile(r"getattr\(self, name\) for name in ([A-Z]+)\b")


def find_keys(method: Any, *, fields: Iterable[str]) -> list[str]:
    """Return the keys of the object that a method returns; others may come from what it calls.

    Args:
        method: as griffe read it.
        fields: of its record.
    """
    nodes = [*ast.walk(ast.parse(textwrap.dedent(method.source)))]
    keys = [key for made in _returned(nodes) for key in made.keys]
    own = [str(key.value) for key in keys if isinstance(key, ast.Constant)]
    if DUMPS.search(method.source):
        # A field's name in a comparison, or taken out of all of them, is one that is left out.
        left = [node for node in nodes if isinstance(node, ast.Compare) or _is_pop(node)]
        named = {part.value for node in left for part in ast.walk(node) if isinstance(part, ast.Constant)}
        return [*own, *(name for name in fields if name not in named)]
    selected = SELECTS.search(method.source)
    return [*own, *getattr(importlib.import_module(method.module.path), selected[1])] if selected else own


def _returned(nodes: list[ast.AST]) -> list[ast.Dict]:
    """Return the object that is returned, and those that it takes in by `**name`."""
    whole = [node.value for node in nodes if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)]
    taken = {
        value.id
        for made in whole
        for key, value in zip(made.keys, made.values, strict=True)
        if key is None and isinstance(value, ast.Name)
    }
    assigned = [
        node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        and any(isinstance(name, ast.Name) and name.id in taken for name in node.targets)
    ]
    return [*whole, *(part for part in assigned if isinstance(part, ast.Dict))]


def _is_pop(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "pop"
