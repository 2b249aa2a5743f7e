"""Softmax, LogSoftmax and Hardmax: along one axis since opset 13, over all axes from `axis` on before."""

from __future__ import annotations

__all__: list[str] = []

import functools
import math
from collections.abc import Callable

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


def _softmax(x: Array, *, axis: int) -> Array:
    """Return exp(x) / sum(exp(x)) along an axis; Operators.md, Softmax-13."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True, initial=-np.inf))
    result: Array = powers / powers.sum(axis=axis, keepdims=True)
    return result


def _log_softmax(x: Array, *, axis: int) -> Array:
    """Return log(softmax(x)) along an axis, without a quotient that could vanish; Operators.md, LogSoftmax-13."""
    shifted = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return result


def _hardmax(x: Array, *, axis: int) -> Array:
    """Return 1 where the first maximum along an axis lies, else 0; Operators.md, Hardmax-13."""
    result = np.zeros_like(x)
    if x.size:
        np.put_along_axis(result, np.expand_dims(x.argmax(axis=axis), axis), 1, axis=axis)
    return result


def _flattened(x: Array, *, axis: int, along: Callable[..., Array]) -> Array:
    """Apply to `[a_0 * ... * a_(axis-1), a_axis * ... * a_(n-1)]`; Changelog.md, Softmax-1 and -11 and their kin."""
    rows = math.prod(x.shape[: axis % x.ndim if axis < 0 else axis])
    return along(x.reshape(rows, math.prod(x.shape) // rows if rows else 0), axis=1).reshape(x.shape)


for _name, _along in (("Softmax", _softmax), ("LogSoftmax", _log_softmax), ("Hardmax", _hardmax)):
    operator(_name, since=13)(_along)
    operator(_name, before=13)(functools.partial(_flattened, along=_along))
