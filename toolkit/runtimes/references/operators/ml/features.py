"""Features: Normalizer, Scaler, FeatureVectorizer, Imputer, ArrayFeatureExtractor.

Shapes: N rows, F features.
"""

from __future__ import annotations

__all__: list[str] = []

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, Type, operator
from toolkit.runtimes.references.operators.ml.scores import DOMAIN


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
