"""Operators of ours: the values that the standard gives, in opsets and with attributes where ONNX's evaluator differs."""

from __future__ import annotations

import inspect

import numpy as np
import onnx
import pytest
from one_node import NEWEST, made, node_file, run_model, run_node, wide
from onnx import helper, numpy_helper
from onnx.reference.op_run import OpRun

from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime
from toolkit.runtimes.references.operators.declared import DECLARED, INJECTED, WITHOUT_EFFECT, classes_for


def test_no_attribute_of_an_operator_of_ours_is_passed_over() -> None:
    classes_for({"": NEWEST}, np.dtype(np.float32))
    for (domain, op_type), entries in DECLARED.items():
        for version in range(1, NEWEST + 1):
            found = [entry for entry in entries if entry.holds_for(version)]
            assert len(found) <= 1, (op_type, version)
            if not found or isinstance(found[0].body, type) or not onnx.defs.has(op_type, version, domain):
                continue
            known = set(onnx.defs.get_schema(op_type, version, domain).attributes) - WITHOUT_EFFECT
            parameters = inspect.signature(found[0].body).parameters.values()
            named = [item for item in parameters if item.kind is item.KEYWORD_ONLY]
            if not any(item.kind is item.VAR_KEYWORD for item in parameters):
                assert known <= {item.name for item in named}, (op_type, version)
            needed = {item.name for item in named if item.default is item.empty}
            assert needed <= {*known, *INJECTED}, (op_type, version)


def test_operators_of_ours_are_named_as_their_nodes_are() -> None:
    for version in (1, 9, NEWEST):
        for item in classes_for({"": version}, np.dtype(np.float32)):
            assert issubclass(item, OpRun)
            assert item.op_schema.since_version <= version
            assert item.op_schema.name == item.__name__


@pytest.mark.parametrize("inside", [False, True], ids=["graph", "function"])
@pytest.mark.parametrize(("opset", "attributes"), [(6, {"is_test": 1}), (7, {}), (8, {}), (9, {}), (13, {}), (15, {})])
def test_batch_normalization_uses_the_numbers_of_the_file(opset: int, attributes: dict[str, int], inside: bool) -> None:
    x, scale, bias, mean = made(2, 3, 4), made(3), made(3), made(3)
    variance = np.abs(made(3)) + 1
    model = node_file("BatchNormalization", [x, scale, bias, mean, variance], opset=opset, inside=inside, **attributes)
    (y,) = run_model(model, [x, scale, bias, mean, variance])
    lay = [wide(item).reshape(1, 3, 1) for item in (scale, bias, mean, variance)]
    expected = (wide(x) - lay[2]) / np.sqrt(lay[3] + float(np.float32(1e-5))) * lay[0] + lay[1]
    assert np.abs(y - expected).max() < 1e-14
    (narrow,) = run_model(model, [x, scale, bias, mean, variance], OnnxEvaluatorRuntime)
    assert narrow.dtype == np.float32
    assert np.abs(narrow - expected).max() < 1e-5


@pytest.mark.parametrize(("opset", "attributes"), [(6, {}), (7, {}), (9, {}), (14, {"training_mode": 1})])
def test_batch_normalization_in_training_uses_the_numbers_of_the_batch(opset: int, attributes: dict[str, int]) -> None:
    x, scale, bias, mean = made(4, 3, 5), made(3), made(3), made(3)
    variance = np.abs(made(3)) + 1
    y, running, _ = run_node(
        "BatchNormalization", x, scale, bias, mean, variance, opset=opset, outputs=3, momentum=0.75, **attributes
    )[:3]
    own, spread = wide(x).mean((0, 2)), wide(x).var((0, 2))
    assert np.abs(running - (0.75 * wide(mean) + 0.25 * own)).max() < 1e-14
    normal = (wide(x) - own[:, None]) / np.sqrt(spread[:, None] + float(np.float32(1e-5)))
    assert np.abs(y - (normal * wide(scale)[:, None] + wide(bias)[:, None])).max() < 1e-14


def test_batch_normalization_of_opset_6_is_told_its_mode() -> None:
    x, scale, bias, mean = made(4, 3, 5), made(3), made(3), made(3)
    (y,) = run_node("BatchNormalization", x, scale, bias, mean, np.abs(mean), opset=6, epsilon=0.5)
    own, spread = wide(x).mean((0, 2)), wide(x).var((0, 2))
    normal = (wide(x) - own[:, None]) / np.sqrt(spread[:, None] + 0.5)
    assert np.abs(y - (normal * wide(scale)[:, None] + wide(bias)[:, None])).max() < 1e-14


def test_batch_normalization_in_training_of_every_place_for_itself() -> None:
    x, scale, bias, mean = made(2, 3, 4), made(3, 4), made(3, 4), made(3, 4)
    given = (x, scale, bias, mean, np.abs(mean))
    y, running, *_ = run_node("BatchNormalization", *given, opset=7, outputs=5, spatial=0, epsilon=0.5, momentum=0.75)
    own, spread = wide(x).mean(0), wide(x).var(0)
    assert np.abs(running - (0.75 * wide(mean) + 0.25 * own)).max() < 1e-14
    assert np.abs(y - ((wide(x) - own) / np.sqrt(spread + 0.5) * scale + bias)).max() < 1e-14


def test_batch_normalization_of_every_place_for_itself() -> None:
    x, scale, bias, mean = made(2, 3, 4), made(3, 4), made(3, 4), made(3, 4)
    variance = np.abs(made(3, 4)) + 1
    (y,) = run_node("BatchNormalization", x, scale, bias, mean, variance, opset=7, spatial=0, epsilon=0.5)
    assert np.abs(y - ((wide(x) - mean) / np.sqrt(wide(variance) + 0.5) * scale + bias)).max() < 1e-14


@pytest.mark.parametrize("opset", [1, 11, 12, 13, NEWEST])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
def test_softmax_and_its_kin_flatten_before_opset_13(op_type: str, opset: int) -> None:
    x = made(2, 3, 4)
    (y,) = run_node(op_type, x, opset=opset)  # the default axis: 1 before opset 13, the last since
    rows = wide(x).reshape(2, 12) if opset < 13 else wide(x).reshape(6, 4)
    soft = np.exp(rows) / np.exp(rows).sum(1, keepdims=True)
    hard = (rows == rows.max(1, keepdims=True)).astype(np.float64)
    expected = {"Softmax": soft, "LogSoftmax": np.log(soft), "Hardmax": hard}[op_type].reshape(x.shape)
    assert np.abs(y - expected).max() < 1e-14


def test_softmax_counts_a_negative_axis_from_the_end() -> None:
    x = made(2, 3, 4)
    (y,) = run_node("Softmax", x, opset=11, axis=-2)
    assert np.abs(y.reshape(2, 12).sum(1) - 1).max() < 1e-14


def test_an_output_that_is_left_out_is_no_input_that_is_left_out() -> None:
    nodes = [
        helper.make_node("TopK", ["x0", "k"], ["", "where"], axis=0),
        helper.make_node("Clip", ["x0", "", "high"], ["y0"]),
    ]
    values = [helper.make_tensor_value_info(name, kind, [3]) for name, kind in (("where", 7), ("y0", 1))]
    weights = [numpy_helper.from_array(np.array([3]), "k"), numpy_helper.from_array(np.array(1, np.float32), "high")]
    inputs = [helper.make_tensor_value_info("x0", onnx.TensorProto.FLOAT, [3])]
    graph = helper.make_graph(nodes, "unread", inputs, values, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    where, y = run_model(model, [np.array([5, -7, 0], np.float32)])
    assert where.tolist() == [0, 2, 1]
    assert y.tolist() == [1, -7, 0]


@pytest.mark.parametrize("inside", [False, True])
def test_the_default_domain_has_two_names(inside: bool) -> None:
    x = made(2, 3, 4)
    model = node_file("Softmax", [x], opset=11, inside=inside)
    wanted = run_model(model, [x])
    for item in (*model.opset_import, *model.graph.node):
        item.domain = item.domain or "ai.onnx"
    for function in model.functions:
        for item in (*function.opset_import, *function.node):
            item.domain = item.domain or "ai.onnx"
    assert np.array_equal(run_model(model, [x]), wanted)


def test_nodes_may_lie_in_any_order() -> None:
    """Engines sort them. A branch reads what is made behind the node that holds it."""
    then, other = (
        helper.make_graph([helper.make_node(kind, ["a"], ["o"])], kind, [], [onnx.ValueInfoProto(name="o")])
        for kind in ("Relu", "Neg")
    )
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other),
        helper.make_node("Greater", ["s", "zero"], ["c"]),
        helper.make_node("ReduceSum", ["a"], ["s"], keepdims=0),
        helper.make_node("Abs", ["x0"], ["a"]),
    ]
    edges = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [3]) for name in ("x0", "y")]
    zero = onnx.numpy_helper.from_array(np.float32(0), "zero")
    model = helper.make_model(helper.make_graph(nodes, "g", edges[:1], edges[1:], [zero]))
    x = np.array([-1, 2, -3], np.float32)
    assert run_model(model, [x])[0].tolist() == [1, 2, 3]
