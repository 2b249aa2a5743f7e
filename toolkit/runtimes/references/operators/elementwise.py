"""Operators that take every element for itself, and the activations of recurrent layers by their names."""

from __future__ import annotations

__all__ = ["bind_activation", "sigmoid"]

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx.reference.ops.op_clip import Clip_6

from toolkit.runtimes.references.operators.declared import Array, operator


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x) without overflow."""
    power = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, 1, power) / (1 + power)
    return result


# Operators.md, LSTM, "Activation functions": functions of x, alpha and beta, then the defaults of alpha and beta, which
# are those of the operators of these names; of Affine and ScaledTanh the standard has none.
ACTIVATIONS: dict[str, tuple[Callable[[Array, float, float], Array], tuple[float | None, ...]]] = {
    "relu": (lambda x, *_: np.maximum(x, 0), ()),
    "tanh": (lambda x, *_: np.tanh(x), ()),
    "sigmoid": (lambda x, *_: sigmoid(x), ()),
    "affine": (lambda x, alpha, beta: alpha * x + beta, (None, None)),
    "leakyrelu": (lambda x, alpha, _: np.where(x >= 0, x, alpha * x), (0.01,)),
    "thresholdedrelu": (lambda x, alpha, _: np.where(x >= alpha, x, 0), (1.0,)),
    "scaledtanh": (lambda x, alpha, beta: alpha * np.tanh(beta * x), (None, None)),
    "hardsigmoid": (lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1), (0.2, 0.5)),
    "elu": (lambda x, alpha, _: np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0))), (1.0,)),
    "softsign": (lambda x, *_: x / (1 + np.abs(x)), ()),
    "softplus": (lambda x, *_: np.logaddexp(x, x.dtype.type(0)), ()),
}


def bind_activation(
    name: str, alphas: Iterator[float], *, betas: Iterator[float], clip: float | None
) -> Callable[[Array], Array]:
    """Return a function of one array, whose input is bounded by `clip` first.

    Args:
        name: of `ACTIVATIONS`, in any case.
        alphas: the next one is taken where the function has an alpha.
        betas: likewise.
        clip: the bound; None for none.

    Raises:
        ValueError: alpha or beta is not given and the standard has no default for it.
    """
    function, defaults = ACTIVATIONS[name.lower()]
    given = [next(values, default) for values, default in zip((alphas, betas), defaults, strict=False)]
    parameters = [value for value in given if value is not None]
    if len(parameters) < len(given):
        raise ValueError(f"the standard has no default alpha and beta for the activation {name}")
    alpha, beta = [*parameters, 0.0, 0.0][:2]

    def apply(x: Array) -> Array:
        return function(x if clip is None else np.clip(x, -clip, clip), alpha, beta)

    return apply


def _laid_out(
    left: Array, right: Array, *, function: Callable[..., Any], broadcast: int = 0, axis: int | None = None
) -> Array:
    """Apply a function after laying the right operand along axes of the left; Changelog.md, Add-1 and -6 and their kin.

    With `broadcast` one element serves for all; else the right operand's shape is a run of the left's that begins at
    `axis`, or ends where the left's ends.
    """
    if broadcast and right.size == 1:
        right = right.reshape(())
    elif broadcast and axis is not None:
        right = right.reshape(*right.shape, *[1] * (left.ndim - axis % left.ndim - right.ndim))
    return np.asarray(function(left, right))


def _divide(left: Array, right: Array) -> Array:
    """Divide; whole numbers are cut towards zero."""
    if np.issubdtype(left.dtype, np.inexact):
        return np.asarray(left / right)
    quotient = left // right
    return np.asarray(quotient + ((left % right != 0) & ((left < 0) != (right < 0))))


def _power(left: Array, right: Array) -> Array:
    return np.asarray(np.power(left, right)).astype(left.dtype)


for _name, _function in (
    ("Add", np.add),
    ("Sub", np.subtract),
    ("Mul", np.multiply),
    ("Div", _divide),
    ("Pow", _power),
    ("Equal", np.equal),
    ("Greater", np.greater),
    ("Less", np.less),
    ("And", np.logical_and),
    ("Or", np.logical_or),
    ("Xor", np.logical_xor),
):
    operator(_name, before=7)(functools.partial(_laid_out, function=_function))


# Changelog.md, Clip-1 differs from -6 in an attribute without effect only; the evaluator (1.23) begins with -6.
operator("Clip", before=6)(Clip_6)


@operator("PRelu", before=7)
def _prelu(x: Array, slope: Array) -> Array:
    """Return x, or slope * x under 0; Changelog.md, PRelu-1 and -6: one slope, or one for each channel."""
    if slope.size > 1:
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))
    return np.where(x < 0, x * slope, x).astype(x.dtype)


@operator("Cast", before=6)
def _cast_1(x: Array, *, to: str) -> Array:
    """Convert to the type that a word names; Changelog.md, Cast-1."""
    return x.astype(helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(to)))


@operator("Erf")
def _erf(x: Array) -> Array:
    """Return the error function; Operators.md, Erf. The evaluator (1.23) rounds it to float32."""
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x)).astype(x.dtype)


@operator("Gelu")
def _gelu(x: Array, *, approximate: str) -> Array:
    """Return x * Phi(x), or its approximation by tanh; Operators.md, Gelu."""
    if approximate == "tanh":
        inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        inner = _erf(x / math.sqrt(2))
    return np.asarray(0.5 * x * (1 + inner)).astype(x.dtype)


@operator("HardSwish")
def _hard_swish(x: Array) -> Array:
    """Return x * max(0, min(1, x / 6 + 0.5)); Operators.md, HardSwish: alpha is 1/6, not its float32."""
    return np.asarray(x * np.clip(x / 6 + 0.5, 0, 1)).astype(x.dtype)


@operator("DequantizeLinear", before=19)
def _dequantize(x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1) -> Array:
    """Return (x - zero) * scale; Changelog.md, DequantizeLinear-10 and -13: one of each, since 13 also along an axis.

    The evaluator (1.23) has none before opset 19.
    """
    shape = [1] * x.ndim
    if scale.size > 1:
        shape[axis] = scale.size
    whole = x.astype(np.int64)
    if zero is not None:
        whole = whole - zero.astype(np.int64).reshape(shape if zero.size > 1 else ())
    return whole.astype(scale.dtype) * scale.reshape(shape if scale.size > 1 else ())
