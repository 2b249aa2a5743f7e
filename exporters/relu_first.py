"""ReLU moved in front of the max-pooling that it follows: the same values, in a range that starts at 0."""

from __future__ import annotations

__all__ = ["move_relu_first"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def move_relu_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which `MaxPool -> Relu` is `Relu -> MaxPool`.

    Both are monotone, so no value changes. A quantiser then sees what a convolution leaves after ReLU and spends all
    its steps on numbers that are kept; the other way half of them go to numbers that ReLU throws away.

    Args:
        model: left unchanged. A pooling whose output somebody else reads stays as it is.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    readers: dict[str, list[onnx.NodeProto]] = {item.name: [item] for item in graph.output}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.node:
        following = readers.get(node.output[0], []) if node.op_type == "MaxPool" and len(node.output) == 1 else []
        if len(following) == 1 and getattr(following[0], "op_type", "") == "Relu":
            _exchange(node, following[0])
    del graph.value_info[:]
    return copy


def _exchange(pool: onnx.NodeProto, relu: onnx.NodeProto) -> None:
    """Let two nodes exchange what they do; their inputs and outputs stay, so the order of the graph does too."""
    relu.attribute.extend(pool.attribute)
    del pool.attribute[:]
    pool.op_type, relu.op_type = relu.op_type, pool.op_type
    pool.name, relu.name = relu.name, pool.name
