"""Activation functions by their names, as recurrent layers have them."""

from __future__ import annotations

__all__ = ["bind_activation", "sigmoid"]

from collections.abc import Callable, Iterator

import numpy as np

from toolkit.runtimes.references.operators.declared import Array


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
    name: str, alphas: Iterator[float], betas: Iterator[float], *, clip: float | None
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
