"""Words and numbers that stand for each other: LabelEncoder, CategoryMapper, OneHotEncoder."""

from __future__ import annotations

__all__: list[str] = []

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, Type, operator
from toolkit.runtimes.references.operators.ml.scores import DOMAIN

KINDS = ("tensor", "floats", "int64s", "strings")


@operator("LabelEncoder", domain=DOMAIN, since=2)
def _label_encoder_2(x: Array, *, real: Type, **attributes: Any) -> Array:
    """Return each key's value, or the default; NaN is a key like any; Operators-ml.md, LabelEncoder."""
    (keys, _), (values, name) = (_given(attributes, role) for role in ("keys", "values"))
    if name == "tensor":
        kind = attributes["values_tensor"].dtype
    else:
        kind = {"floats": real, "int64s": np.dtype(np.int64), "strings": np.dtype(object)}[name]
    default = attributes[f"default_{name.removesuffix('s')}"]
    default = default.item() if name == "tensor" else default
    return _look_up(x, dict(zip(map(_key, keys), values, strict=True)), default, kind)


@operator("LabelEncoder", domain=DOMAIN, before=2)
def _label_encoder_1(x: Array, *, classes_strings: list[str], default_int64: int, default_string: str) -> Array:
    """Turn words into their places and places into their words; Changelog-ml.md, LabelEncoder-1."""
    if x.dtype == np.int64:
        return _look_up(x, dict(enumerate(classes_strings)), default_string, np.dtype(object))
    return _look_up(x, {word: place for place, word in enumerate(classes_strings)}, default_int64, np.dtype(np.int64))


@operator("CategoryMapper", domain=DOMAIN)
def _category_mapper(
    x: Array, *, cats_int64s: list[int], cats_strings: list[str], default_int64: int, default_string: str
) -> Array:
    """Turn words into numbers and numbers into words; Operators-ml.md, CategoryMapper."""
    if x.dtype == np.int64:
        return _look_up(x, dict(zip(cats_int64s, cats_strings, strict=True)), default_string, np.dtype(object))
    return _look_up(x, dict(zip(cats_strings, cats_int64s, strict=True)), default_int64, np.dtype(np.int64))


@operator("OneHotEncoder", domain=DOMAIN)
def _one_hot_encoder(
    x: Array, *, cats_int64s: list[int] | None, cats_strings: list[str] | None, zeros: int, real: Type
) -> Array:
    """Return 1 at each category's place, along a new last axis; Operators-ml.md, OneHotEncoder.

    Numbers count as the whole numbers below them, as in ONNX Runtime.

    Raises:
        ValueError: a number or word of no category where `zeros` forbids it.
    """
    items = x if cats_strings else x.astype(np.int64)
    result = np.asarray(items[..., None] == np.array(cats_strings or cats_int64s, items.dtype))
    if not zeros and not result.any(axis=-1).all():
        raise ValueError("OneHotEncoder meets what is no category, and zeros=0 forbids it")
    return result.astype(real)


def _given(attributes: Mapping[str, Any], role: str) -> tuple[list[Any], str]:
    """Return the keys or the values, and by which of the attributes they are given."""
    name = next(name for name in KINDS if attributes.get(f"{role}_{name}") is not None)
    found = attributes[f"{role}_{name}"]
    return (found.ravel().tolist() if name == "tensor" else found), name


def _look_up(x: Array, table: Mapping[Any, Any], default: Any, kind: Type) -> Array:
    found = [table.get(_key(item), default) for item in x.ravel().tolist()]
    return np.array(found, kind).reshape(x.shape)


def _key(item: Any) -> Any:
    """Return what a dictionary finds: NaN is not itself."""
    return None if item != item else item  # noqa: PLR0124 - NaN


@operator("ZipMap", domain=DOMAIN)
def _zip_map(x: Array, *, classlabels_int64s: list[int] | None, classlabels_strings: list[str] | None) -> Any:
    """Return each row's numbers by their labels, a list of dictionaries; Operators-ml.md, ZipMap."""
    labels = classlabels_int64s or classlabels_strings or []
    return [dict(zip(labels, row, strict=True)) for row in np.atleast_2d(x)]
