"""Recurrent layers: RNN, GRU and LSTM, with lengths, clips and activations that the evaluator passes over.

Shapes: T steps, B batch, I inputs, H hidden, D directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator
from toolkit.runtimes.references.operators.elementwise import bind_activation

# One step of one direction: from its inputs `[B, I]` and the states `[B, H]`, the hidden one first, to the next states.
Step = Callable[[Array, tuple[Array, ...]], tuple[Array, ...]]


class _Weights(NamedTuple):
    """One direction's.

    Attributes:
        w: `[gates * H, I]`.
        r: `[gates * H, H]`.
        of_w: bias `[gates * H]`.
        of_r: bias `[gates * H]`.
        functions: the activations.
    """

    w: Array
    r: Array
    of_w: Array
    of_r: Array
    functions: list[Callable[[Array], Array]]


@operator("RNN")
def _rnn(
    x: Array, w: Array, r: Array, bias: Array | None = None, *states: Array | None, **attributes: Any
) -> tuple[Array, ...]:
    """Ht = f(Xt W^T + Ht-1 R^T + Wb + Rb); Operators.md, RNN."""

    def make_step(own: _Weights, _: int) -> Step:
        (f,) = own.functions
        return lambda row, old: (f(row @ own.w.T + old[0] @ own.r.T + own.of_w + own.of_r),)

    weights = _by_direction(w, r, bias=bias, defaults=["Tanh"], **attributes)
    return _unroll(x, weights, make_step=make_step, given=states, count=1, **attributes)


@operator("GRU")
def _gru(
    x: Array, w: Array, r: Array, bias: Array | None = None, *states: Array | None, **attributes: Any
) -> tuple[Array, ...]:
    """Gates z, r and h; Operators.md, GRU."""
    is_linear_first = attributes.get("linear_before_reset")  # opset 1 has none

    def make_step(own: _Weights, _: int) -> Step:
        f, g = own.functions
        hidden = r.shape[-1]
        own_r, own_h = own.r[: 2 * hidden].T, own.r[2 * hidden :].T
        of_r, of_h = own.of_r[: 2 * hidden], own.of_r[2 * hidden :]

        def step(row: Array, old: tuple[Array, ...]) -> tuple[Array, ...]:
            (h,) = old
            gates, candidate = np.split(row @ own.w.T + own.of_w, [2 * hidden], axis=-1)
            z, reset = np.split(f(gates + h @ own_r + of_r), 2, axis=-1)
            carried = reset * (h @ own_h + of_h) if is_linear_first else (reset * h) @ own_h + of_h
            return ((1 - z) * g(candidate + carried) + z * h,)

        return step

    weights = _by_direction(w, r, bias=bias, defaults=["Sigmoid", "Tanh"], **attributes)
    return _unroll(x, weights, make_step=make_step, given=states, count=1, **attributes)


@operator("LSTM")
def _lstm(
    x: Array, w: Array, r: Array, bias: Array | None = None, *states: Array | None, **attributes: Any
) -> tuple[Array, ...]:
    """Gates i, o, f and c, peepholes of the first three; `input_forget` couples f to 1 - i; Operators.md, LSTM."""
    peepholes = states[3] if len(states) > 3 else None

    def make_step(own: _Weights, direction: int) -> Step:
        f, g, last = own.functions
        peep_i, peep_o, peep_f = (
            np.split(peepholes[direction], 3) if peepholes is not None else np.zeros((3, 1), x.dtype)
        )

        def step(row: Array, old: tuple[Array, ...]) -> tuple[Array, ...]:
            h, c = old
            of_i, of_o, of_f, of_c = np.split(row @ own.w.T + h @ own.r.T + own.of_w + own.of_r, 4, axis=-1)
            i = f(of_i + peep_i * c)
            forget = 1 - i if attributes["input_forget"] else f(of_f + peep_f * c)
            c = forget * c + i * g(of_c)
            return f(of_o + peep_o * c) * last(c), c

        return step

    weights = _by_direction(w, r, bias=bias, defaults=["Sigmoid", "Tanh", "Tanh"], **attributes)
    return _unroll(x, weights, make_step=make_step, given=states[:3], count=2, **attributes)


def _by_direction(
    w: Array,
    r: Array,
    *,
    bias: Array | None,
    defaults: Sequence[str],
    activations: Sequence[str] | None,
    activation_alpha: Sequence[float] | None,
    activation_beta: Sequence[float] | None,
    clip: float | None,
    **_: Any,
) -> list[_Weights]:
    """Split the weights by direction; alphas and betas are consumed in order by the activations that have them."""
    num_directions, rows = w.shape[:2]
    both = bias if bias is not None else np.zeros((num_directions, 2 * rows), w.dtype)
    names = (activations or [*defaults, *defaults])[: num_directions * len(defaults)]
    alphas, betas = iter(activation_alpha or ()), iter(activation_beta or ())
    # The clip bounds what the gates are of; ONNX Runtime and OpenVINO give the last activation, h, the cell as it is.
    bounds = [None if index % len(defaults) == 2 else clip for index in range(len(names))]
    functions = [bind_activation(name, alphas, betas=betas, clip=own) for name, own in zip(names, bounds, strict=True)]
    return [
        _Weights(w[index], r[index], both[index, :rows], both[index, rows:], functions[start : start + len(defaults)])
        for index, start in enumerate(range(0, len(functions), len(defaults)))
    ]


def _unroll(
    x: Array,
    weights: Sequence[_Weights],
    *,
    make_step: Callable[[_Weights, int], Step],
    given: Sequence[Array | None],
    count: int,
    direction: str,
    layout: int = 0,
    **_: Any,
) -> tuple[Array, ...]:
    """Run every direction over `[T, B, I]`, or `[B, T, I]` in layout 1.

    Args:
        x: the inputs.
        weights: one of each direction.
        make_step: makes a direction's step.
        given: the lengths `[B]`, then the first states `[D, B, H]`; each may be None or left out.
        count: how many states there are.
        direction: `forward`, `reverse` or `bidirectional`.
        layout: 1 where the batch comes first, in x, states and outputs (since opset 14).

    Returns:
        The hidden states of all steps `[T, D, B, H]`, and each last state `[D, B, H]`.
    """
    steps = np.swapaxes(x, 0, 1) if layout else x
    lengths = given[0] if given else None
    states = [*given[1:], *[None] * (1 + count - max(len(given), 1))]
    zeros = np.zeros((len(weights), steps.shape[1], weights[0].r.shape[-1]), x.dtype)
    first = [zeros if state is None else np.swapaxes(state, 0, 1) if layout else state for state in states]
    runs = []
    for index, own in enumerate(weights):
        is_reverse = direction == "reverse" or index == 1
        start = tuple(state[index] for state in first)
        runs.append(_unroll_one(steps, start, lengths=lengths, step=make_step(own, index), is_reverse=is_reverse))
    results = [np.stack(items, axis=-3) for items in zip(*runs, strict=True)]
    if layout:
        results = [np.moveaxis(item, -2, 0) for item in results]  # the batch, of all steps and of each state
    return tuple(results)


def _unroll_one(
    steps: Array, states: tuple[Array, ...], *, lengths: Array | None, step: Step, is_reverse: bool
) -> list[Array]:
    """Run one direction; what lies past a sequence's length gives zeros and leaves its states as they are.

    Returns:
        The hidden states of all steps `[T, B, H]`, and each last state `[B, H]`.
    """
    y = np.zeros((len(steps), *states[0].shape), steps.dtype)
    for time in reversed(range(len(steps))) if is_reverse else range(len(steps)):
        is_within = np.ones((steps.shape[1], 1), bool) if lengths is None else (time < lengths)[:, None]
        after = step(steps[time], states)
        states = tuple(np.where(is_within, new, old) for new, old in zip(after, states, strict=True))
        y[time] = np.where(is_within, states[0], 0)
    return [y, *states]
