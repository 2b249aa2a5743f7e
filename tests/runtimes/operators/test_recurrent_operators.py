"""LSTM, GRU and RNN: the standard's equations, PyTorch's answers and ONNX Runtime's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from one_node import Array, distance, made, node_file, run_by_ort, run_model, run_node, wide

from toolkit.errors import ModelError
from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 2, 4


def layer(op_type: str, *, directions: int = 1) -> list[Array]:
    rows = GATES[op_type] * HIDDEN
    shapes = [(STEPS, BATCH, INPUTS), (directions, rows, INPUTS), (directions, rows, HIDDEN), (directions, 2 * rows)]
    return [made(*shape) for shape in shapes]


def by_torch(op_type: str, arrays: list[Array], lengths: list[int]) -> list[Array]:
    """Both directions over sequences of their own lengths; PyTorch's gates stand in another order."""
    import torch

    x, w, r, bias = (torch.from_numpy(wide(array)) for array in arrays)
    order = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}[op_type]
    module = getattr(torch.nn, op_type)(INPUTS, HIDDEN, bidirectional=True, dtype=torch.float64)
    for direction, suffix in enumerate(("", "_reverse")):
        parts = {"weight_ih": w[direction], "weight_hh": r[direction]}
        parts["bias_ih"], parts["bias_hh"] = bias[direction].chunk(2)
        for name, part in parts.items():
            gates = part.chunk(GATES[op_type])
            getattr(module, f"{name}_l0{suffix}").data = torch.cat([gates[gate] for gate in order])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    with torch.no_grad():
        y, last = module(packed)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=STEPS)
    states = list(last) if isinstance(last, tuple) else [last]
    return [y.reshape(STEPS, BATCH, 2, HIDDEN).transpose(1, 2).numpy(), *(state.numpy() for state in states)]


@pytest.mark.parametrize("opset", [7, 14, 22])
@pytest.mark.parametrize("op_type", GATES)
def test_each_sequence_ends_at_its_own_length(op_type: str, opset: int) -> None:
    arrays, lengths = layer(op_type, directions=2), [5, 1, 3]
    options: dict[str, Any] = {"direction": "bidirectional", "hidden_size": HIDDEN}
    if op_type == "GRU":
        options["linear_before_reset"] = 1  # PyTorch has no other
    given = [*arrays, np.array(lengths, np.int32)]
    expected = by_torch(op_type, arrays, lengths)
    answers = run_node(op_type, *given, opset=opset, outputs=len(expected), **options)
    for answer, wanted in zip(answers, expected, strict=True):
        assert answer.dtype == np.float64
        assert np.abs(answer - wanted).max() < 1e-12
    model = node_file(op_type, given, opset=opset, outputs=len(expected), **options)
    for answer, wanted in zip(run_model(model, given, OnnxEvaluatorRuntime), expected, strict=True):
        assert answer.dtype == np.float32
        assert np.abs(answer - wanted).max() < 1e-5


def test_one_cell_of_lstm_by_hand() -> None:
    x, w, r, bias = 0.5, [0.4, -0.3, 0.7, 1.1], [0.2, 0.1, -0.6, 0.3], [0.1, 0.2, 0.3, 0.4]
    h, c, (peep_i, peep_o, peep_f) = 0.25, -0.75, (0.9, -0.8, 0.7)
    arrays = [[[[x]]], [w], [r], [[*bias, 0, 0, 0, 0]], None, [[[h]]], [[[c]]], [[peep_i, peep_o, peep_f]]]
    shapes = [(1, 1, 1), (1, 4, 1), (1, 4, 1), (1, 8), None, (1, 1, 1), (1, 1, 1), (1, 3)]
    given = [
        None if array is None or shape is None else np.array(array, np.float32).reshape(shape)
        for array, shape in zip(arrays, shapes, strict=True)
    ]
    exact = [None if array is None else wide(array).ravel() for array in given]
    x, w, r, bias, _, h, c, (peep_i, peep_o, peep_f) = exact  # type: ignore[assignment,misc]  # float32's own values
    of_i, of_o, _, of_c = (float(w[k] * x[0] + r[k] * h[0] + bias[k]) for k in range(4))  # type: ignore[index]

    def bounded(value: float) -> float:
        return min(max(value, -0.5), 0.5)

    alpha, beta, slope = (float(np.float32(value)) for value in (0.3, 0.6, 0.05))
    i = min(max(alpha * bounded(of_i + float(peep_i * c[0])) + beta, 0), 1)  # type: ignore[index]
    after = (1 - i) * float(c[0]) + i * math.tanh(bounded(of_c))  # type: ignore[index]
    o = min(max(alpha * bounded(of_o + float(peep_o) * after) + beta, 0), 1)
    wanted = o * (after if after >= 0 else slope * after)
    answers = run_node(
        "LSTM",
        *given,
        opset=14,
        outputs=3,
        hidden_size=1,
        clip=0.5,
        input_forget=1,
        activations=["HardSigmoid", "Tanh", "LeakyRelu"],
        activation_alpha=[0.3, 0.05],
        activation_beta=[0.6],
    )
    assert [answer.item() for answer in answers] == pytest.approx([wanted, wanted, after], abs=1e-15)


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "LSTM": [
        {"clip": 0.5},
        {"input_forget": 1, "direction": "reverse"},
        {"activations": ["Softsign", "Elu", "Softplus"]},
        {
            "activations": ["HardSigmoid", "ScaledTanh", "Affine", "Sigmoid", "LeakyRelu", "ThresholdedRelu"],
            "activation_alpha": [0.3, 1.2, 0.4, 0.02, 0.1],
            "activation_beta": [0.6, 0.7, 0.05],
            "direction": "bidirectional",
        },
    ],
    "GRU": [
        {"clip": 0.4, "linear_before_reset": 1},
        {"direction": "reverse"},
        {"activations": ["Sigmoid", "Relu", "hardsigmoid", "tanh"], "direction": "bidirectional"},
    ],
    "RNN": [{"activations": ["Relu"]}, {"activations": ["LeakyRelu"], "activation_alpha": [0.2]}, {"clip": 0.3}],
}
CASES = [(op_type, options) for op_type, found in OPTIONS.items() for options in found]


@pytest.mark.parametrize(("op_type", "options"), CASES)
def test_attributes_that_are_not_the_defaults_count(op_type: str, options: dict[str, Any]) -> None:
    directions = 2 if options.get("direction") == "bidirectional" else 1
    count = 3 if op_type == "LSTM" else 2
    states = [made(directions, BATCH, HIDDEN) for _ in range(count - 1)]
    peepholes = [made(directions, 3 * HIDDEN)] if op_type == "LSTM" else []
    given = [*layer(op_type, directions=directions), np.array([2, 5, 4], np.int32), *states, *peepholes]
    answers = run_node(op_type, *given, opset=14, outputs=count, hidden_size=HIDDEN, **options)
    wanted = run_by_ort(op_type, *given, opset=14, outputs=count, hidden_size=HIDDEN, **options)
    for answer, other in zip(answers, wanted, strict=True):
        assert distance(answer, other) < 1e-5


@pytest.mark.parametrize("op_type", GATES)
def test_layout_1_puts_the_batch_first(op_type: str) -> None:
    x, *rest = layer(op_type, directions=2)
    lengths, count = np.array([4, 5, 2], np.int32), 3 if op_type == "LSTM" else 2
    states = [made(2, BATCH, HIDDEN) for _ in range(count - 1)]
    options: dict[str, Any] = {"opset": 14, "outputs": count, "direction": "bidirectional", "hidden_size": HIDDEN}
    y, *last = run_node(op_type, x, *rest, lengths, *states, **options)
    turned = [np.ascontiguousarray(np.swapaxes(item, 0, 1)) for item in (x, *states)]
    other, *other_last = run_node(op_type, turned[0], *rest, lengths, *turned[1:], layout=1, **options)
    assert np.array_equal(other, y.transpose(2, 0, 1, 3))
    for one, two in zip(last, other_last, strict=True):
        assert np.array_equal(two, np.swapaxes(one, 0, 1))


def test_a_gru_of_opset_1_has_its_reset_before_the_product() -> None:
    arrays = layer("GRU")
    one, seven = (run_node("GRU", *arrays, opset=opset, outputs=2, hidden_size=HIDDEN) for opset in (1, 7))
    assert all(np.array_equal(left, right) for left, right in zip(one, seven, strict=True))


def test_an_activation_without_a_default_has_no_reference() -> None:
    with pytest.raises(ModelError, match="no default alpha and beta for the activation Affine"):
        run_node("RNN", *layer("RNN"), opset=14, outputs=2, hidden_size=HIDDEN, activations=["Affine"])
