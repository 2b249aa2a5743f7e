"""RNN, GRU and LSTM: every opset, direction, length, state, activation and bound."""

from __future__ import annotations

__all__ = ["make_cases"]

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Array, Case, Values, one_node, values, versions_of

# The opsets in which every direction is tried; the others differ in types and names only.
FULL = {7, 14}
STEPS, BATCH, INPUTS, HIDDEN = 5, 2, 3, 4
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# Those with an alpha, or an alpha and a beta; and those that need none given.
PARAMETERS = {
    "Affine": (0.4, 0.05),
    "LeakyRelu": (0.2,),
    "ThresholdedRelu": (0.1,),
    "ScaledTanh": (1.2, 0.7),
    "HardSigmoid": (0.3, 0.6),
    "Elu": (0.5,),
}
WITHOUT = ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "LeakyRelu", "HardSigmoid", "Elu")


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for op_type in GATES:
        for opset in versions_of(op_type):
            for direction in ("forward", "reverse", "bidirectional") if opset in FULL else ("bidirectional",):
                yield from _of_direction(op_type, opset, direction)
        yield from _of_activations(op_type)


def _of_direction(op_type: str, opset: int, direction: str) -> Iterator[Case]:
    drawn, directions = values(op_type + direction), 2 if direction == "bidirectional" else 1
    arrays = _weights(op_type, drawn, directions)
    lengths = np.array([3, STEPS], np.int32)
    states = [drawn.normal(directions, BATCH, HIDDEN) for _ in range(2 if op_type == "LSTM" else 1)]
    peepholes = [drawn.normal(directions, 3 * HIDDEN)] if op_type == "LSTM" else []

    def case(label: str, *given: Array | None, **attributes: Any) -> Case:
        options = {"direction": direction, "hidden_size": HIDDEN} | attributes
        outputs = options.pop("outputs", 1 + len(states))
        return one_node(op_type, *given, opset=opset, label=label, outputs=outputs, **options)

    yield case("plain", *arrays)
    yield case("without bias", *arrays[:3])
    yield case("last state only", *arrays, outputs=["", "y1"])
    yield case("lengths", *arrays, lengths)
    yield case("states", *arrays, lengths, *states)
    yield case("clip", *arrays, clip=0.5)
    if op_type == "LSTM":
        yield case("peepholes", *arrays, None, *states, *peepholes)
        yield case("coupled", *arrays, lengths, *states, *peepholes, input_forget=1, clip=0.7)
    if op_type == "GRU" and opset > 1:
        yield case("linear before reset", *arrays, lengths, *states, linear_before_reset=1)
    if opset >= 14:
        turned = [np.ascontiguousarray(np.swapaxes(item, 0, 1)) for item in (arrays[0], *states)]
        options: dict[str, Any] = {"linear_before_reset": 1} if op_type == "GRU" else {}
        if direction != "reverse":  # PyTorch has none
            options["torch"] = functools.partial(_by_torch, op_type)
        yield case("batch first", turned[0], *arrays[1:], None, *turned[1:], layout=1, **options)


def _by_torch(op_type: str, x: Any, w: Any, r: Any, bias: Any, _: Any, *states: Any) -> tuple[Any, ...]:
    """Return all outputs of a layer whose batch comes first; PyTorch's gates stand in another order."""
    import torch

    order = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}[op_type]
    module = getattr(torch.nn, op_type)(INPUTS, HIDDEN, bidirectional=len(w) == 2, batch_first=True, dtype=w.dtype)
    for direction, suffix in zip(range(len(w)), ("", "_reverse"), strict=False):
        of_w, of_r = bias[direction].chunk(2)
        for name, part in (
            ("weight_ih", w[direction]),
            ("weight_hh", r[direction]),
            ("bias_ih", of_w),
            ("bias_hh", of_r),
        ):
            gates = part.chunk(GATES[op_type])
            getattr(module, f"{name}_l0{suffix}").data = torch.cat([gates[gate] for gate in order])
    first = [state.transpose(0, 1).contiguous() for state in states]
    with torch.no_grad():
        y, last = module(x, tuple(first) if op_type == "LSTM" else first[0])
    after = last if isinstance(last, tuple) else (last,)
    return y.reshape(BATCH, STEPS, len(w), HIDDEN), *(state.transpose(0, 1) for state in after)


def _of_activations(op_type: str) -> Iterator[Case]:
    arrays = _weights(op_type, values(op_type), 1)
    count = 3 if op_type == "LSTM" else 2
    for place in range(len(DEFAULTS[op_type])):
        for name in dict.fromkeys((*PARAMETERS, *WITHOUT)):
            if name == DEFAULTS[op_type][place]:
                continue
            given: dict[str, Any] = {}
            for key, value in zip(("activation_alpha", "activation_beta"), PARAMETERS.get(name, ()), strict=False):
                given[key] = [value]
            chosen = [name if index == place else own for index, own in enumerate(DEFAULTS[op_type])]
            if name in WITHOUT and name in PARAMETERS:
                yield one_node(op_type, *arrays, opset=14, outputs=count, hidden_size=HIDDEN, activations=chosen)
            yield one_node(op_type, *arrays, opset=14, outputs=count, hidden_size=HIDDEN, activations=chosen, **given)
    both = _weights(op_type, values(op_type), 2)
    chosen = ["HardSigmoid", "LeakyRelu", "Softsign"][: len(DEFAULTS[op_type])] + DEFAULTS[op_type]
    yield one_node(
        op_type,
        *both,
        opset=14,
        outputs=count,
        label="each direction's own",
        direction="bidirectional",
        hidden_size=HIDDEN,
        activations=chosen,
        activation_alpha=[0.3, 0.1][: len(DEFAULTS[op_type])],
        activation_beta=[0.6],
    )


def _weights(op_type: str, drawn: Values, directions: int) -> list[Array]:
    rows = GATES[op_type] * HIDDEN
    shapes = ((directions, rows, INPUTS), (directions, rows, HIDDEN), (directions, 2 * rows))
    return [drawn.normal(STEPS, BATCH, INPUTS), *(drawn.normal(*shape) / 2 for shape in shapes)]
