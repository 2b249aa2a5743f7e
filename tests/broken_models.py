"""Faults put into an exported file: each of them must be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["FAULTS", "broken", "damaging"]

Fault = Callable[[onnx.ModelProto], None]


def broken(model: bytes, fault: str) -> bytes:
    """Return the model with one fault, its card unchanged."""
    proto = onnx.ModelProto.FromString(model)
    FAULTS[fault](proto)
    return proto.SerializeToString()


def damaging(export: Callable[..., onnx.ModelProto], fault: str) -> Callable[..., onnx.ModelProto]:
    """Return an exporter whose graphs have a fault."""

    def damage(*asked: Any, **how: Any) -> onnx.ModelProto:
        model = export(*asked, **how)
        FAULTS[fault](model)
        return model

    return damage


def _initializer(model: onnx.ModelProto, ending: str) -> onnx.TensorProto:
    return next(item for item in model.graph.initializer if item.name.endswith(ending))


def _edit(model: onnx.ModelProto, ending: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = _initializer(model, ending)
    array = numpy_helper.to_array(tensor)
    tensor.CopyFrom(
        numpy_helper.from_array(np.ascontiguousarray(change(array.copy())).astype(array.dtype), tensor.name)
    )


def _node(model: onnx.ModelProto, kind: str, number: int = 0) -> onnx.NodeProto:
    return [node for node in model.graph.node if node.op_type == kind][number]


def _bypass(model: onnx.ModelProto, kind: str, number: int = 0) -> None:
    node = _node(model, kind, number)
    for other in model.graph.node:
        for index, name in enumerate(other.input):
            if name == node.output[0]:
                other.input[index] = node.input[0]
    model.graph.node.remove(node)


def _set_attribute(model: onnx.ModelProto, kind: str, name: str, value: object) -> None:
    node = _node(model, kind)
    for item in list(node.attribute):
        if item.name == name:
            node.attribute.remove(item)
    node.attribute.append(onnx.helper.make_attribute(name, value))


def _one_weight(array: np.ndarray) -> np.ndarray:
    array.flat[int(np.abs(array).argmax())] *= 1.01
    return array


FAULTS: dict[str, Fault] = {
    "standardisation without the mean": lambda model: _edit(model, "mean", np.zeros_like),
    "mean off by one pixel": lambda model: _edit(model, "mean", lambda a: np.roll(a, 1, axis=1)),
    "standard deviation doubled": lambda model: _edit(model, "std", lambda a: a * 2),
    "bias dropped": lambda model: _edit(model, "stages.0.convs.0.bias", np.zeros_like),
    "kernel transposed": lambda model: _edit(model, "stages.1.convs.0.weight", lambda a: a.transpose(0, 1, 3, 2)),
    "one channel zeroed": lambda model: _edit(
        model, "stages.1.convs.0.weight", lambda a: np.concatenate([a[:-1], a[-1:] * 0])
    ),
    "one weight changed by 1 %": lambda model: _edit(model, "dense2.weight", _one_weight),
    "ReLU removed": lambda model: _bypass(model, "Relu", 2),
    "softmax over the batch": lambda model: _set_attribute(model, "Softmax", "axis", 0),
    "label from the smallest logit": lambda model: setattr(_node(model, "ArgMax"), "op_type", "ArgMin"),
}
