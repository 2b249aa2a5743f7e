"""What stands before a model: words and numbers that stand for each other, and features scaled and put together.

Shapes: N rows, F features.
"""

from __future__ import annotations

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
    return _look_up(x, dict(zip(map(_key, keys), values, strict=True)), default=default, kind=kind)


@operator("LabelEncoder", domain=DOMAIN, before=2)
def _label_encoder_1(x: Array, *, classes_strings: list[str], default_int64: int, default_string: str) -> Array:
    """Turn words into their places and places into their words; Changelog-ml.md, LabelEncoder-1."""
    places = list(range(len(classes_strings)))
    return _category_mapper(
        x, cats_int64s=places, cats_strings=classes_strings, default_int64=default_int64, default_string=default_string
    )


@operator("CategoryMapper", domain=DOMAIN)
def _category_mapper(
    x: Array, *, cats_int64s: list[int], cats_strings: list[str], default_int64: int, default_string: str
) -> Array:
    """Turn words into numbers and numbers into words; Operators-ml.md, CategoryMapper."""
    if x.dtype == np.int64:
        return _look_up(
            x, dict(zip(cats_int64s, cats_strings, strict=True)), default=default_string, kind=np.dtype(object)
        )
    return _look_up(
        x, dict(zip(cats_strings, cats_int64s, strict=True)), default=default_int64, kind=np.dtype(np.int64)
    )


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


def _look_up(x: Array, table: Mapping[Any, Any], *, default: Any, kind: Type) -> Array:
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


@operator("Normalizer", domain=DOMAIN)
def _normalizer(x: Array, *, norm: str, real: Type) -> Array:
    """Divide each row by its largest number, the sum of its sizes or their root; Operators-ml.md, Normalizer.

    A row whose divisor is zero stays as it is. The evaluator (1.23) divides by the largest size.
    """
    rows = x.astype(np.result_type(x, real))
    divisor = {
        "MAX": lambda: rows.max(axis=-1, keepdims=True),
        "L1": lambda: np.abs(rows).sum(axis=-1, keepdims=True),
        "L2": lambda: np.sqrt((rows**2).sum(axis=-1, keepdims=True)),
    }[norm]()
    return np.asarray(rows / np.where(divisor == 0, 1, divisor)).astype(real)


@operator("Scaler", domain=DOMAIN)
def _scaler(x: Array, *, offset: list[float], scale: list[float], real: Type) -> Array:
    """Return (x - offset) * scale, one number each or one for all; Operators-ml.md, Scaler."""
    rows = x.astype(np.result_type(x, real))
    return np.asarray((rows - np.array(offset, rows.dtype)) * np.array(scale, rows.dtype)).astype(real)


@operator("FeatureVectorizer", domain=DOMAIN)
def _feature_vectorizer(*inputs: Array, inputdimensions: list[int], real: Type) -> Array:
    """Put the inputs beside each other, each cut or filled with zeros to its width; FeatureVectorizer-1."""
    parts = []
    for item, width in zip(inputs, inputdimensions, strict=True):
        rows = item.reshape(len(item), -1)[:, :width]
        parts.append(np.pad(rows, [(0, 0), (0, width - rows.shape[1])]))
    return np.concatenate(parts, axis=1).astype(real)
