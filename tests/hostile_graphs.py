"""Graphs that no engine should be trusted with. Those that reach an engine carry a good model's card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

__all__ = ["EXTERNAL", "GRAPHS"]

INT64_MAX = np.iinfo(np.int64).max


def wrap(nodes: Sequence[NodeProto], *, opset: int = 18, functions: Sequence[FunctionProto] = ()) -> ModelProto:
    """Return a model with the contract's interface."""
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 28, 28])
    graph = helper.make_graph(list(nodes), "g", [images], outputs)
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid("mine", 1)] * bool(functions)
    model = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    model.ir_version = 10
    return model


def answering(nodes: Sequence[NodeProto], last: str = "x", **parts: Any) -> ModelProto:
    """Return a model that is sound but for the value `last`, from which one number a call goes into its answers.

    The value may have any type and shape. `flat` holds the pixels as numbers.
    """
    begin = [
        node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        constant("rows", np.array([0, -1], np.int64)),
        node("Reshape", ["pixels", "rows"], ["flat"]),
        constant("zero", np.array([0], np.int64)),
        constant("ten", np.array([10], np.int64)),
        constant("one", np.array([1], np.int64)),
    ]
    end = [
        node("Slice", ["flat", "zero", "ten", "one"], ["tens"]),
        node("Cast", [last], ["wide"], to=TensorProto.FLOAT),
        node("ReduceMax", ["wide"], ["worst"], keepdims=0),
        node("Add", ["tens", "worst"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
        node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    return wrap([*begin, *nodes, *end], **parts)


def node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> NodeProto:
    """Return a node."""
    return helper.make_node(kind, inputs, outputs, **attributes)


def constant(name: str, value: np.ndarray) -> NodeProto:
    """Return a node that holds a constant."""
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))


def sizes(*values: int) -> NodeProto:
    """Return a constant called `sizes`."""
    return constant("sizes", np.array(values, np.int64))


# --- external data -----------------------------------------------------------------------------------------------


def outside(location: str, name: str = "hidden") -> TensorProto:
    """Return a tensor whose numbers lie in a file."""
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def in_an_initializer(location: str) -> ModelProto:
    model = answering([], "hidden")
    model.graph.initializer.append(outside(location))
    return model


def in_a_sparse_initializer() -> ModelProto:
    model = answering([], "hidden")
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(outside("values.bin"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.arange(4), "places"))
    sparse.dims[:] = [4]
    return model


def in_a_branch() -> ModelProto:
    inner = node("Identity", ["hidden"], ["chosen"])
    branch = helper.make_graph([inner], "branch", [], [value("chosen")], [outside("x.bin")])
    return answering(
        [constant("yes", np.array(True)), node("If", ["yes"], ["x"], then_branch=branch, else_branch=branch)]
    )


def in_a_constant() -> ModelProto:
    made = node("Constant", [], ["x"])
    attribute = made.attribute.add()
    attribute.name, attribute.type = "value", AttributeProto.TENSOR
    attribute.t.CopyFrom(outside("x.bin"))
    return answering([made])


def in_a_function() -> ModelProto:
    inside = node("Constant", [], ["y"])
    attribute = inside.attribute.add()
    attribute.name, attribute.type = "value", AttributeProto.TENSOR
    attribute.t.CopyFrom(outside("x.bin"))
    function = helper.make_function("mine", "f", ["x"], ["y"], [inside], [helper.make_opsetid("", 18)])
    return answering([node("f", ["flat"], ["x"], domain="mine")], functions=[function])


def in_a_function_default() -> ModelProto:
    body = [node("Identity", ["x"], ["y"])]
    function = helper.make_function("mine", "f", ["x"], ["y"], body, [helper.make_opsetid("", 18)])
    attribute = function.attribute_proto.add()
    attribute.name, attribute.type = "weights", AttributeProto.TENSOR
    attribute.t.CopyFrom(outside("x.bin"))
    return answering([node("f", ["flat"], ["x"], domain="mine")], functions=[function])


def in_the_training_part() -> ModelProto:
    model = answering([], "flat")
    model.training_info.add().algorithm.initializer.append(outside("x.bin"))
    return model


# --- sizes -------------------------------------------------------------------------------------------------------


def lying_dims() -> ModelProto:
    model = answering([], "hidden")
    tensor = model.graph.initializer.add()
    tensor.name, tensor.data_type, tensor.raw_data = "hidden", TensorProto.FLOAT, b"1234"
    tensor.dims[:] = [10**10]
    return model


def overflowing_dims() -> ModelProto:
    model = lying_dims()
    model.graph.initializer[0].dims[:] = [2**33, 2**33]
    return model


def short_tensor() -> ModelProto:
    model = lying_dims()
    model.graph.initializer[0].dims[:] = [1000]
    return model


def huge_input() -> ModelProto:
    model = answering([], "flat")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 10**10
    return model


def many_nodes() -> ModelProto:
    chain = [node("Identity", ["flat" if not index else f"v{index}"], [f"v{index + 1}"]) for index in range(200_001)]
    return answering(chain, "v200001")


# --- depth and cycles --------------------------------------------------------------------------------------------


def nested_functions(depth: int) -> ModelProto:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    functions = [
        helper.make_function(
            "mine", f"f{level}", ["x"], ["y"], [node(f"f{level + 1}", ["x"], ["y"], domain="mine")], opsets
        )
        for level in range(depth)
    ]
    functions.append(helper.make_function("mine", f"f{depth}", ["x"], ["y"], [node("Identity", ["x"], ["y"])], opsets))
    return answering([node("f0", ["flat"], ["x"], domain="mine")], functions=functions)


def exploding_functions() -> ModelProto:
    """Every function calls the next one twice: 2^40 nodes once they are written out."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    functions = [
        helper.make_function(
            "mine",
            f"f{level}",
            ["x"],
            ["y"],
            [
                node(f"f{level + 1}", ["x"], ["z"], domain="mine"),
                node(f"f{level + 1}", ["z"], ["y"], domain="mine"),
            ],
            opsets,
        )
        for level in range(40)
    ]
    functions.append(helper.make_function("mine", "f40", ["x"], ["y"], [node("Identity", ["x"], ["y"])], opsets))
    return answering([node("f0", ["flat"], ["x"], domain="mine")], functions=functions)


def recursive_function(*names: str) -> ModelProto:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    functions = [
        helper.make_function("mine", name, ["x"], ["y"], [node(following, ["x"], ["y"], domain="mine")], opsets)
        for name, following in zip(names, (*names[1:], names[0]), strict=True)
    ]
    return answering([node(names[0], ["flat"], ["x"], domain="mine")], functions=functions)


def nested_branches(depth: int) -> ModelProto:
    inner = helper.make_graph([node("Identity", ["flat"], ["b0"])], "b", [], [value("b0")])
    for level in range(1, depth):
        chosen = node("If", ["yes"], [f"b{level}"], then_branch=inner, else_branch=GraphProto())
        inner = helper.make_graph([chosen], "b", [], [value(f"b{level}")])
    last = node("If", ["yes"], ["x"], then_branch=inner, else_branch=inner)
    return answering([constant("yes", np.array(True)), last])


def endless_loop() -> ModelProto:
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("Identity", ["carried"], ["x_out"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("carried")],
        [value("go_on", TensorProto.BOOL, []), value("x_out")],
    )
    nodes = [constant("trips", np.array(INT64_MAX)), constant("yes", np.array(True))]
    return answering([*nodes, node("Loop", ["trips", "yes", "flat"], ["x"], body=body)])


def value(name: str, kind: int = TensorProto.FLOAT, shape: Sequence[int] | None = None) -> onnx.ValueInfoProto:
    """Return a declaration, of open shape by default."""
    return helper.make_tensor_value_info(name, kind, shape)


# --- operators ---------------------------------------------------------------------------------------------------


def convolution(**attributes: Any) -> ModelProto:
    made = [
        constant("kernel", np.ones((1, 1, 3, 3), np.float32)),
        sizes(-1, 1, 28, 28),
        node("Reshape", ["flat", "sizes"], ["maps"]),
        node("Conv", ["maps", "kernel"], ["x"], **attributes),
    ]
    return answering(made)


def pooling(**attributes: Any) -> ModelProto:
    made = [
        sizes(-1, 1, 28, 28),
        node("Reshape", ["flat", "sizes"], ["maps"]),
        node("MaxPool", ["maps"], ["x"], **attributes),
    ]
    return answering(made)


def division_by_zero(kind: str, where: str) -> ModelProto:
    """Whole numbers divided by zero: a signal on most processors, while opening (constants) or while running."""
    if where == "open":
        made = [constant("some", np.array([7, 8], np.int64))]
    else:
        made = [node("Cast", ["flat"], ["some"], to=TensorProto.INT64)]
    return answering([*made, constant("none", np.array([0], np.int64)), node(kind, ["some", "none"], ["x"])])


def changed(**changes: int) -> ModelProto:
    model = answering([], "flat")
    for name, number in changes.items():
        if name == "opset":
            model.opset_import[0].version = number
        else:
            setattr(model, name, number)
    return model


def without_opset() -> ModelProto:
    model = answering([], "flat")
    del model.opset_import[:]
    return model


def written_twice() -> ModelProto:
    return answering([node("Identity", ["flat"], ["x"]), node("Identity", ["flat"], ["x"])])


def random_numbers(dtype: int = TensorProto.FLOAT) -> ModelProto:
    return answering([node("RandomNormal", [], ["x"], shape=[10**10], dtype=dtype)])


Maker = Callable[[], ModelProto]
EXTERNAL: dict[str, Maker] = {
    "external data beside": lambda: in_an_initializer("weights.bin"),
    "external data above": lambda: in_an_initializer("../../weights.bin"),
    "external data absolute": lambda: in_an_initializer("/etc/passwd"),
    "external data through a link": lambda: in_an_initializer("link"),
    "external data in memory": lambda: in_an_initializer("*/_ORT_MEM_ADDR_/*"),
    "external data in a sparse tensor": in_a_sparse_initializer,
    "external data in a branch": in_a_branch,
    "external data in a constant": in_a_constant,
    "external data in a function": in_a_function,
    "external data in a function's default": in_a_function_default,
    "external data in the training part": in_the_training_part,
}
SIZES: dict[str, Maker] = {
    "ConstantOfShape of 10^10": lambda: answering([sizes(10**10), node("ConstantOfShape", ["sizes"], ["x"])]),
    "Expand to 10^10": lambda: answering(
        [constant("s", np.ones(1, np.float32)), sizes(10**10), node("Expand", ["s", "sizes"], ["x"])]
    ),
    "Tile to 10^10": lambda: answering(
        [constant("s", np.ones(1, np.float32)), sizes(10**10), node("Tile", ["s", "sizes"], ["x"])]
    ),
    "Range to 10^10": lambda: answering(
        [*(constant(name, np.array(number)) for name, number in (("a", 0), ("b", 10**10), ("c", 1))),
         node("Range", ["a", "b", "c"], ["x"])]
    ),
    "RandomNormal of 10^10": random_numbers,
    "Pad to 10^10": lambda: answering(
        [constant("s", np.ones(1, np.float32)), sizes(0, 10**10), node("Pad", ["s", "sizes"], ["x"])]
    ),
    "ConstantOfShape of 2^62": lambda: answering([sizes(2**62), node("ConstantOfShape", ["sizes"], ["x"])]),
    "ConstantOfShape of -5": lambda: answering([sizes(-5), node("ConstantOfShape", ["sizes"], ["x"])]),
    "dims of 10^10": lying_dims,
    "dims whose product overflows": overflowing_dims,
    "fewer bytes than dims": short_tensor,
    "an input of 10^10 rows": huge_input,
    "200,000 nodes": many_nodes,
}  # fmt: skip
DEPTHS: dict[str, Maker] = {
    "3,000 nested functions": lambda: nested_functions(3000),
    "900 nested functions": lambda: nested_functions(900),
    "2^40 nodes in functions": exploding_functions,
    "a function that calls itself": lambda: recursive_function("f"),
    "two functions that call each other": lambda: recursive_function("f", "g"),
    "20 nested branches": lambda: nested_branches(20),
    "a cycle": lambda: answering([node("Add", ["flat", "y"], ["x"]), node("Identity", ["x"], ["y"])]),
    "a node that reads itself": lambda: answering([node("Add", ["flat", "x"], ["x"])]),
    "an endless loop": endless_loop,
}
OPERATORS: dict[str, Maker] = {
    "zero-stride convolution": lambda: convolution(strides=[0, 0]),
    "zero-dilation convolution": lambda: convolution(dilations=[0, 0]),
    "negative pads": lambda: convolution(pads=[-50, -50, -50, -50]),
    "huge pads": lambda: convolution(pads=[2**30] * 4),
    "no groups": lambda: convolution(group=0),
    "zero-stride pooling": lambda: pooling(kernel_shape=[2, 2], strides=[0, 0]),
    "pooling of nothing": lambda: pooling(kernel_shape=[0, 0]),
    "division by zero while opening": lambda: division_by_zero("Div", "open"),
    "division by zero while running": lambda: division_by_zero("Div", "run"),
    "modulo zero while running": lambda: division_by_zero("Mod", "run"),
    "a split into none": lambda: answering([node("Split", ["flat"], ["x"], num_outputs=0)]),
    "a gather far outside": lambda: answering(
        [constant("far", np.array([10**9])), node("Gather", ["flat", "far"], ["x"], axis=1)]
    ),
    "a reshape to -7": lambda: answering([sizes(-7), node("Reshape", ["flat", "sizes"], ["x"])]),
    "an unknown operator": lambda: answering([node("Nonsense", ["flat"], ["x"])]),
    "an unknown domain": lambda: answering([node("Relu", ["flat"], ["x"], domain="com.nobody")]),
    "a value from nowhere": lambda: answering([node("Relu", ["nowhere"], ["x"])]),
    "a value written twice": written_twice,
    "opset 999": lambda: changed(opset=999),
    "opset 0": lambda: changed(opset=0),
    "opset -1": lambda: changed(opset=-1),
    "no opset": without_opset,
    "IR version 0": lambda: changed(ir_version=0),
    "IR version 999": lambda: changed(ir_version=999),
    "shapes that depend on the data": lambda: answering([node("NonZero", ["flat"], ["x"])]),
    "a NaN": lambda: answering([constant("x", np.array([np.nan], np.float32))]),
}
GRAPHS: dict[str, Maker] = {**EXTERNAL, **SIZES, **DEPTHS, **OPERATORS}
