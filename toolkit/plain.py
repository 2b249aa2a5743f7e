"""Records as plain JSON values, and back: the one walk over the fields of dataclasses and named tuples."""

from __future__ import annotations

__all__ = ["from_plain", "to_plain"]

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def to_plain(value: Any) -> Any:
    """Return what JSON can hold: a record becomes an object of its fields, a path a string, a tuple or set a list.

    A record inside another that says itself what is told of it (`to_json`) is asked.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _of_part(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _of_part(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {name: _of_part(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_of_part(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: Any, value: Any) -> Any:
    """Rebuild a record from what `to_plain` made of it, also after a way through JSON.

    Args:
        kind: the record's type. Of its fields' types tuples, dictionaries, `None` and further records are followed.
        value: plain; a key that is left out has the field's default.

    Raises:
        TypeError: a key is unknown, or one without a default is missing.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        some = [item for item in inner if item is not NoneType]
        return from_plain(some[0], value) if len(some) == 1 and value is not None else value
    if origin is tuple:
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else inner
        return tuple(from_plain(*pair) for pair in zip(kinds, value, strict=True))
    if origin is dict:
        return {name: from_plain(inner[1], item) for name, item in value.items()}
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        hints = _hints_of(kind)
        return kind(**{name: from_plain(hints.get(name), item) for name, item in value.items()})
    return value


@cache
def _hints_of(kind: Any) -> dict[str, Any]:
    """Return the types of a record's fields; reading their text takes longer than rebuilding the record."""
    return get_type_hints(kind)


def _of_part(value: Any) -> Any:
    return value.to_json() if hasattr(value, "to_json") else to_plain(value)
