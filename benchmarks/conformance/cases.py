"""One file of one node, with its inputs and, where PyTorch has the operator, its answer in float64."""

from __future__ import annotations

__all__ = ["NEWEST", "Case", "one_node", "values", "versions_of"]

import functools
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

Array = NDArray[Any]
# The newest opset that ONNX Runtime 1.31 opens. Operators whose text is newer have files of their own opset as well.
NEWEST = min(onnx.defs.onnx_opset_version(), 26)
IR_VERSION = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A file, what it is fed and what is known of its answer.

    Attributes:
        name: operator, opset, attributes and sizes.
        op_type: the operator.
        opset: the opset of the operator's domain.
        model: the file.
        feeds: its inputs by name.
        torch: the answer by PyTorch from all inputs as float64 tensors; None where PyTorch has no such operator.
        expected: the answer where somebody else states it.
        tolerance: largest error of a float32 engine, as a share of the answer's largest number.
        family: of which family.
    """

    name: str
    op_type: str
    opset: int
    model: onnx.ModelProto
    feeds: dict[str, Array]
    torch: Callable[..., Any] | None = None
    arrays: tuple[Array | None, ...] = ()
    expected: dict[str, Array] | None = None
    tolerance: float = 2e-5
    family: str = ""

    def of_family(self, family: str) -> Case:
        """Return the case as one of a family."""
        return replace(self, family=family)


@dataclass(slots=True)
class Values:
    """Numbers drawn for one case, the same every time.

    Attributes:
        seed: what they are drawn from.
    """

    seed: str
    _generator: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._generator = np.random.default_rng(zlib.crc32(self.seed.encode()))

    def normal(self, *shape: int) -> Array:
        """Return float32 of mean 0 and deviation 1."""
        return self._generator.standard_normal(shape).astype(np.float32)

    def positive(self, *shape: int) -> Array:
        """Return float32 between 0.5 and 2."""
        return self._generator.uniform(0.5, 2, shape).astype(np.float32)

    def whole(self, low: int, high: int, *shape: int, dtype: Any = np.int64) -> Array:
        """Return whole numbers from `low` up to, but without, `high`."""
        return self._generator.integers(low, high, shape).astype(dtype)


def values(seed: str) -> Values:
    """Return the source of a case's numbers."""
    return Values(seed)


def versions_of(op_type: str, *, since: int = 1, domain: str = "") -> list[int]:
    """Return the opsets in which an operator was given a new text, and the newest one."""
    found = set(_texts().get((op_type, domain), ()))
    newest = onnx.defs.get_schema(op_type, domain=domain) if onnx.defs.has(op_type, domain) else None
    if newest and not newest.deprecated and not domain:
        found.add(NEWEST)
    return sorted(version for version in found if version >= since and version >= min(found - {NEWEST} or found))


@functools.cache
def _texts() -> dict[tuple[str, str], list[int]]:
    known: dict[tuple[str, str], list[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if not schema.deprecated:
            known.setdefault((schema.name, schema.domain), []).append(schema.since_version)
    return known


def one_node(
    op_type: str,
    *arrays: Array | None,
    opset: int,
    fed: int = 1,
    outputs: int | Iterable[str] = 1,
    domain: str = "",
    torch: Callable[..., Any] | None = None,
    label: str = "",
    tolerance: float = 2e-5,
    **attributes: Any,
) -> Case:
    """Make a file of one node.

    Args:
        op_type: the operator.
        arrays: its inputs in their order; None for one that is left out.
        opset: the opset that the file imports.
        fed: so many inputs are fed from the first on, the others are constants of the file.
        outputs: how many are asked for, or their names, empty for one that is left out.
        domain: the operator's domain.
        torch: see `Case`.
        label: what sets the case apart where attributes and sizes do not.
        tolerance: see `Case`.
        attributes: of the node.
    """
    arrays = tuple(None if array is None else np.asarray(array) for array in arrays)
    names = [f"x{index}" if array is not None else "" for index, array in enumerate(arrays)]
    made = [f"y{index}" for index in range(outputs)] if isinstance(outputs, int) else list(outputs)
    node = helper.make_node(op_type, names, made, domain=domain, **attributes)
    present = [(name, array) for name, array in zip(names, arrays, strict=True) if array is not None]
    inputs = [_value(name, array) for name, array in present[:fed]]
    weights = [numpy_helper.from_array(array, name) for name, array in present[fed:]]
    graph = helper.make_graph([node], "case", inputs, _outputs(made, present), weights)
    opsets = [helper.make_opsetid(domain, opset)]
    if domain:
        opsets.append(helper.make_opsetid("", 18))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    parts = [f"{key}={_short(value)}" for key, value in sorted(attributes.items())]
    sizes = "x".join(map(str, present[0][1].shape)) if present else ""
    return Case(
        name=" ".join(filter(None, [f"{op_type}-{opset}", label, *parts, f"[{sizes}]", _count(made)])),
        op_type=op_type,
        opset=opset,
        model=_typed(model),
        feeds=dict(present[:fed]),
        torch=torch,
        arrays=arrays,
        tolerance=tolerance,
    )


def _value(name: str, array: Array) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), list(array.shape))


def _outputs(made: list[str], present: list[tuple[str, Array]]) -> list[onnx.ValueInfoProto]:
    kind = helper.np_dtype_to_tensor_dtype(present[0][1].dtype) if present else onnx.TensorProto.FLOAT
    return [helper.make_tensor_value_info(name, kind, None) for name in made if name]


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """State each output's type as the standard's own inference finds it; its shape stays open."""
    bare = onnx.ModelProto.FromString(model.SerializeToString())
    for value in bare.graph.output:
        value.ClearField("type")
    try:
        found = shape_inference.infer_shapes(bare, data_prop=True).graph.output
    except shape_inference.InferenceError:  # operators of old opsets have none
        return model
    for value, inferred in zip(model.graph.output, found, strict=True):
        if inferred.type.WhichOneof("value"):
            value.type.CopyFrom(inferred.type)
            value.type.tensor_type.ClearField("shape")
    return model


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_short, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, onnx.TensorProto):
        return _short(numpy_helper.to_array(value).ravel().tolist())
    return value.decode() if isinstance(value, bytes) else str(value).split("\n")[0][:40]


def _count(made: list[str]) -> str:
    return "" if len(made) == 1 else f"{len(made)} outputs"
