"""Any file in float64: its numbers widened exactly, its operators as the standard words them. No engine.

Or what its nodes make rounded to the 16 bits that the file gives it.
"""

from __future__ import annotations

__all__ = ["RoundedRuntime", "WidenedRuntime", "widen_model"]

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, TypeProto, helper, numpy_helper, shape_inference

from toolkit.errors import ModelError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.graph_parts import all_tensors, iterate_graphs
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing
from toolkit.runtimes.references.evaluator import WideEvaluator, unwrap_optionals

NARROW = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}
NARROW_NAMES = {"float32", "float16", "bfloat16"}
# Integer attributes that name an element type.
TYPE_ATTRIBUTES = {"to", "dtype", "output_datatype"}
HALVES = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
# Behind a tensor's name: what its node makes, and that in 16 bits.
EXACT, ROUNDED = "#exact", "#rounded"


class WidenedRuntime(Runtime):
    """A file evaluated with every number of 16 or 32 bits as float64; whole numbers keep their types."""

    name: ClassVar[str] = "onnx-widened"

    # Tensors that are meant to be of fewer bits.
    _narrowed: Collection[str] = ()

    def _widen(self, model: onnx.ModelProto) -> onnx.ModelProto:
        return widen_model(model)

    def _open(self, source: ModelSource) -> None:
        info = self._describe_file(source, version=onnx.__version__)
        with refusing("the ONNX evaluator"):  # an operator it lacks has no error of its own
            self._evaluator = WideEvaluator(self._widen(onnx.ModelProto.FromString(source.model)))
        self.info = replace(info, outputs=tuple(_widen_spec(spec) for spec in info.outputs))

    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Evaluate every node in float64; see `Runtime.compute`.

        Raises:
            ModelError: an operator of the evaluator fails, or computes in fewer bits whatever it is given.
        """
        wide = {name: array.astype(_widen_dtype(array.dtype)) for name, array in feeds.items()}
        with refusing("the ONNX evaluator", verb="cannot run"):
            values: dict[str, Any] = dict(self._evaluator.run(None, wide, intermediate=True))
        others = {name: value for name, value in values.items() if name not in self._narrowed}
        narrow = [name for name, value in others.items() if getattr(value, "dtype", None) in (np.float32, np.float16)]
        if narrow:
            raise ModelError(f"the ONNX evaluator computes {narrow[0]!r} in {values[narrow[0]].dtype}, not in float64")
        return unwrap_optionals(values, self.info.outputs)


class RoundedRuntime(WidenedRuntime):
    """A file evaluated in float64, every float16 and bfloat16 of its main graph rounded once, as its types say.

    On a CPU, ONNX Runtime computes most of such a file in float32 and leaves the roundings out, so that its error does
    not tell what they do; an engine that takes the file at its word makes them.
    """

    name: ClassVar[str] = "onnx-rounded"

    def _widen(self, model: onnx.ModelProto) -> onnx.ModelProto:
        inferred = shape_inference.infer_shapes(model).graph
        kinds = {item.name: item.type.tensor_type.elem_type for item in (*inferred.value_info, *inferred.output)}
        halves = {name: kind for name, kind in kinds.items() if kind in HALVES}
        wide = widen_model(model)
        nodes = [item for node in wide.graph.node for item in _with_roundings(node, halves)]
        del wide.graph.node[:]
        wide.graph.node.extend(nodes)
        self._narrowed = {name + ROUNDED for name in halves}
        return wide


def widen_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every float type of fewer bits is float64: inputs, weights, constants and casts."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    graphs = list(iterate_graphs(wide, name="the model"))
    for tensor in all_tensors(graphs):
        _widen_tensor(tensor)
    for graph in graphs:
        if isinstance(graph, onnx.GraphProto):  # a function declares no types
            del graph.value_info[:]
            for item in (*graph.input, *graph.output):
                _widen_type(item.type)
        for node in graph.node:
            _widen_node(node)
    return wide


def _widen_node(node: NodeProto) -> None:
    if node.op_type == "Constant":
        _widen_constant(node)
    if node.op_type == "ConstantOfShape" and not node.attribute:
        node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1))))
    for attribute in node.attribute:
        if attribute.type == AttributeProto.INT and attribute.name in TYPE_ATTRIBUTES and attribute.i in NARROW:
            attribute.i = TensorProto.DOUBLE


def _widen_constant(node: NodeProto) -> None:
    for attribute in list(node.attribute):
        if attribute.name in {"value_float", "value_floats"}:
            value = np.array(helper.get_attribute_value(attribute), np.float64)
            node.attribute.remove(attribute)
            node.attribute.append(helper.make_attribute("value", numpy_helper.from_array(value)))


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type in NARROW:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def _widen_type(kind: TypeProto) -> None:
    if kind.HasField("sequence_type"):
        _widen_type(kind.sequence_type.elem_type)
    elif kind.HasField("optional_type"):
        _widen_type(kind.optional_type.elem_type)
    elif kind.tensor_type.elem_type in NARROW:
        kind.tensor_type.elem_type = TensorProto.DOUBLE


def _widen_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(np.float64) if dtype.name in NARROW_NAMES else dtype


def _widen_spec(spec: TensorSpec) -> TensorSpec:
    if spec.dtype in NARROW_NAMES:
        return replace(spec, dtype="float64")
    return replace(spec, dtype=spec.dtype.replace("tensor(float)", "tensor(double)"))


def _with_roundings(node: NodeProto, halves: dict[str, int]) -> Iterator[NodeProto]:
    yield node
    for index, name in enumerate(node.output):
        if name in halves:
            node.output[index] = name + EXACT
            yield helper.make_node("Cast", [name + EXACT], [name + ROUNDED], to=halves[name])
            yield helper.make_node("Cast", [name + ROUNDED], [name], to=TensorProto.DOUBLE)
