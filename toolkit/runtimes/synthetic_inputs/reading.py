"""A model's graph read for what its inputs have to be."""

from __future__ import annotations

__all__ = ["read_inputs"]

import re
from collections.abc import Iterable
from typing import Any

import onnx
from onnx import NodeProto

from toolkit.onnx_file.element_types import STRING
from toolkit.onnx_file.graph_parts import declared_sizes, name_type
from toolkit.runtimes.synthetic_inputs.facts import BATCH, IMAGE, SEQUENCE, Axis, InputFacts, Need, declared_axis
from toolkit.runtimes.synthetic_inputs.needs import need_of
from toolkit.runtimes.synthetic_inputs.trace import Graph, Reading, attribute, follow

# Of several needs the first of these holds: a number that is no row of a table is refused, a mask may be anything.
ORDER = ("index", "fill", "pick", "length", "mask", "range")
RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
PRODUCTS = frozenset({"MatMul", "MatMulInteger", "FusedMatMul", "QLinearMatMul", "Gemm", "FusedGemm"})
CONVOLUTIONS = frozenset({"Conv", "FusedConv", "QLinearConv", "ConvInteger", "ConvTranspose", "NhwcFusedConv"})
NORMALISATIONS = frozenset({"BatchNormalization", "InstanceNormalization", "GroupNormalization", "PRelu"})
# Where an operator of quantised products has its weights.
WEIGHTS_AT = {"QLinearConv": 3, "QLinearMatMul": 3}
# An image has this many axes, with or without batch and channels in front; one more is a volume.
IMAGE_RANKS = frozenset({4, 5})
NAMED_MASK, NAMED_LENGTH = re.compile(r"mask", re.IGNORECASE), re.compile(r"len(gth)?s?(_|$|\d)", re.IGNORECASE)
FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})
# The largest of such numbers.
FEW = 9.0
BYTES = ("int8", "uint8")


def read_inputs(model: onnx.ModelProto) -> tuple[InputFacts, ...]:
    """Return what a model's graph says of every input that is fed.

    Args:
        model: parsed, and vetted by `vet_model`.
    """
    graph = Graph(model)
    return tuple(_read(graph, item) for item in graph.inputs if item.name not in graph.weights)


def _read(graph: Graph, item: onnx.ValueInfoProto) -> InputFacts:
    """Return what is declared, and what the graph adds to it where it is whole."""
    try:
        return _read_graph(graph, item)
    except (IndexError, ValueError, TypeError, KeyError):
        # A node lacks an input, or has an attribute of another type: the engine that opens the file tells better.
        return InputFacts(name=item.name, dtype=_dtype(item), axes=_declared(item))


def _read_graph(graph: Graph, item: onnx.ValueInfoProto) -> InputFacts:
    axes = _declared(item)
    dtype = _dtype(item)
    readings = list(follow(graph, item.name, rank=None if axes is None else len(axes)))
    axes = _guess_rank(graph, readings) if axes is None else _with_evidence(graph, axes, readings=readings)
    needs = [need for reading in readings if reading.same and (need := need_of(graph, reading)) is not None]
    if dtype == STRING:
        need = Need("word", words=tuple(dict.fromkeys(word for need in needs for word in need.words)))
    else:
        need = _choose(item.name, dtype, axes=axes, needs=needs, readings=readings)
    return InputFacts(name=item.name, dtype=dtype, axes=axes, need=need)


def _declared(item: onnx.ValueInfoProto) -> tuple[Axis, ...] | None:
    tensor = item.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(map(declared_axis, declared_sizes(item)))


def _dtype(item: onnx.ValueInfoProto) -> str:
    kind = item.type.tensor_type.elem_type
    return name_type(kind) if kind else str(item.type.WhichOneof("value") or "nothing")


def _choose(
    name: str, dtype: str, *, axes: tuple[Axis, ...] | None, needs: list[Need], readings: list[Reading]
) -> Need:
    """Return the one need that an input is made by."""
    is_whole = dtype not in {"float16", "float32", "float64"}
    is_single = axes is not None and all(axis.size == 1 for axis in axes)
    if not is_single:  # a comparison of many numbers makes a mask of them, and chooses no branch
        needs = [need for need in needs if need.role != "pick" or len(need.choices) > 2]
    for role in ORDER:
        mine = [need for need in needs if need.role == role]
        if role == "index" and mine and min(need.high for need in mine) < 2 and NAMED_MASK.search(name):
            return Need("mask")
        if mine:
            return _join(role, mine)
    if is_whole and NAMED_LENGTH.search(name) and axes is not None and len(axes) < 2:
        return Need("length")
    if NAMED_MASK.search(name):
        return Need("mask")
    if is_whole and dtype != "bool" and any(map(_divides, readings)):
        return Need("number", low=1.0, high=FEW)
    # Whole numbers that become floats are counts or levels, and 0 and 1 say little of what is done with them.
    is_counted = any(_becomes_float(reading) or _is_divided(reading) for reading in readings)
    return Need("number", high=FEW) if is_whole and dtype not in {"bool", *BYTES} and is_counted else Need("free")


def _join(role: str, needs: list[Need]) -> Need:
    if role in {"pick", "fill"}:
        return Need(role, choices=tuple(dict.fromkeys(number for need in needs for number in need.choices)))
    low, high = max(need.low for need in needs), min(need.high for need in needs)
    return Need(role, low, high) if low <= high else needs[0]


def _divides(reading: Reading) -> bool:
    return reading.same and reading.node.op_type in {"Div", "Mod"} and reading.position == 1


def _is_divided(reading: Reading) -> bool:
    """Tell whether less than the divisor becomes 0, as 0 and 1 do nearly always."""
    is_dividend = reading.node.op_type in {"Div", "Mod"} and reading.position == 0
    return reading.same and (is_dividend or reading.node.op_type == "ReduceMean")


def _becomes_float(reading: Reading) -> bool:
    return reading.same and reading.node.op_type == "Cast" and attribute(reading.node, "to", otherwise=0) in FLOATS


def _with_evidence(graph: Graph, axes: tuple[Axis, ...], *, readings: Iterable[Reading]) -> tuple[Axis, ...]:
    """Return the axes with the sizes and roles that operators ask for, where the file leaves them open."""
    sizes: dict[int, int] = {}
    roles: dict[int, str] = {}
    for reading in readings:
        if reading.axes is None:
            continue
        size_at, role_at = _asked(graph, reading.node, position=reading.position, rank=len(reading.axes))
        for place, size in size_at.items():
            if (own := reading.axes[place]) is not None:
                sizes.setdefault(own, size)
        for place, role in role_at.items():
            if (own := reading.axes[place]) is not None:
                roles.setdefault(own, role)
    return tuple(
        axis._replace(size=axis.size or sizes.get(index), role=roles.get(index, "")) for index, axis in enumerate(axes)
    )


def _asked(graph: Graph, node: NodeProto, *, position: int, rank: int) -> tuple[dict[int, int], dict[int, str]]:
    """Return the sizes and roles of axes that an operator asks for of what it reads."""
    kind, sizes, roles = node.op_type, dict[int, int](), dict[int, str]()
    weight_at = WEIGHTS_AT.get(kind, 1)
    shape = graph.shape(node.input[weight_at]) if position == 0 and len(node.input) > weight_at else None
    if kind in CONVOLUTIONS and position == 0 and rank > 2:
        roles = dict.fromkeys(range(2, rank), IMAGE if rank in IMAGE_RANKS else SEQUENCE)
        if shape is not None and len(shape) == rank:
            sizes[1] = shape[0] if kind == "ConvTranspose" else shape[1] * int(attribute(node, "group", otherwise=1))
    elif kind in PRODUCTS and shape is not None and len(shape) > 1 and rank > 1:
        flipped, turned = (int(attribute(node, name, otherwise=0)) for name in ("transB", "transA"))
        sizes[0 if turned else rank - 1] = shape[-1 if flipped else -2]
    elif kind in NORMALISATIONS and shape is not None and len(shape) == 1 and rank > 1:
        sizes[1] = shape[0]
    elif kind in {"LayerNormalization", "Scaler"} and position == 0 and rank > 1:
        width = len(attribute(node, "scale", otherwise=())) if kind == "Scaler" else 0 if shape is None else shape[-1]
        sizes |= {rank - 1: width} if width > 1 else {}
    elif kind in RECURRENT and rank == 3:
        sizes, roles = _asked_by_recurrent(graph, node, position=position)
    return {place: size for place, size in sizes.items() if size > 0}, roles


def _asked_by_recurrent(graph: Graph, node: NodeProto, *, position: int) -> tuple[dict[int, int], dict[int, str]]:
    is_batch_first = bool(attribute(node, "layout", otherwise=0))
    weights, states = graph.shape(node.input[1]), graph.shape(node.input[2])
    if position == 0:
        sizes = {} if weights is None else {2: weights[-1]}
        return sizes, {int(is_batch_first): SEQUENCE, int(not is_batch_first): BATCH}
    if position in {5, 6}:  # initial_h, initial_c
        directions, batch = (1, 0) if is_batch_first else (0, 1)
        sizes = {} if states is None else {directions: states[0], 2: states[-1]}
        return sizes, {batch: BATCH}
    return {}, {}


def _guess_rank(graph: Graph, readings: Iterable[Reading]) -> tuple[Axis, ...] | None:
    """Return axes for an input of which not even their number is declared, by the operator that reads it first."""
    for reading in readings:
        node: Any = reading.node
        if reading.position != 0 or len(node.input) < 2:
            continue
        shape = graph.shape(node.input[WEIGHTS_AT.get(node.op_type, 1)]) or ()
        if node.op_type in CONVOLUTIONS | PRODUCTS and len(shape) > 1:
            rank = len(shape)
            whole = reading._replace(axes=tuple(range(rank)))
            return _with_evidence(graph, (Axis(None, is_open=True),) * rank, readings=[whole])
    return None
