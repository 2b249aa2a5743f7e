"""Optionals: a value or none, apart from sequences, which the evaluator (1.23) takes them for."""

from __future__ import annotations

__all__: list[str] = []

from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


class _Optional(list[Any]):
    """What holds one value or none; a list, which is what the evaluator lets pass."""


@operator("Optional")
def _optional(value: Any = None, *, type: Any) -> Any:  # noqa: A002, ARG001 - the attribute's name; of what there is none
    """Wrap a value, or none; Operators.md, Optional."""
    return _Optional([] if value is None else [value])


@operator("OptionalGetElement")
def _optional_get_element(value: Any) -> Any:
    """Return what an optional holds; what is none is its own element (since opset 18); OptionalGetElement-18.

    Raises:
        ValueError: it holds none.
    """
    if not isinstance(value, _Optional):
        return value
    if not value:
        raise ValueError("OptionalGetElement is given an optional that holds nothing")
    return value[0]


@operator("OptionalHasElement")
def _optional_has_element(value: Any = None) -> Array:
    """Say whether there is a value; Operators.md, OptionalHasElement."""
    return np.array(bool(value) if isinstance(value, _Optional) else value is not None)
