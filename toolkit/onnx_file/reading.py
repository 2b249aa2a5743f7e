"""A file's bytes read with onnx alone: operators, types, weights, what it states that an answer depends on.

It runs in a worker: a file may be hostile. Nothing is refused here that can be described.
"""

from __future__ import annotations

__all__ = ["find_shape_claims", "read_facts"]

from collections import Counter
from collections.abc import Iterator
from typing import Any

from toolkit.errors import ExternalDataError, ModelError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.facts import BesideFile, FileFacts, OperatorUse, ShapeClaim, WeightType
from toolkit.onnx_file.graph_parts import (
    DEFAULT_DOMAINS,
    fed_inputs,
    find_attribute,
    is_external,
    iterate_parts,
    iterate_tensors,
    name_type,
    weigh_tensors,
)
from toolkit.onnx_file.vetting import parse_model, require_metadata_within_cap, vet_parsed

# Dropout has its mode as an input from this opset on, BatchNormalization as an attribute from that one on; before 7
# both have `is_test`, 0 by default (ONNX, Operators and Changelog).
DROPOUT_INPUT_SINCE = 12
NORMALISATION_ATTRIBUTE_SINCE = 14
TEST_ATTRIBUTE_BEFORE = 7
TRAINING_MODE_AT = 2
# A tensor that holds the sizes of another is smaller.
LARGEST_SHAPE_BYTES = 4096
DRAWING = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


def read_facts(data: bytes, *, name: str) -> FileFacts:
    """Return what a file states.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.

    Raises:
        ModelError: it is no model, or has more nodes or metadata than one has.
    """
    model = parse_model(data, name=name)
    require_metadata_within_cap(model, name=name)
    parts = list(iterate_parts(model, name=name))
    graph = model.graph
    inputs = fed_inputs(graph)
    nodes = [node for part, _ in parts for node in part.node]
    return FileFacts(
        ir_version=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        opsets=_versions(model.opset_import),
        operators=_count_operators(parts, {(item.domain, item.name) for item in model.functions}),
        num_functions=len(model.functions),
        inputs=tuple(map(_spec, inputs)),
        outputs=tuple(map(_spec, graph.output)),
        unranked=tuple(item.name for item in (*inputs, *graph.output) if _is_unranked(item.type)),
        weights=tuple(WeightType(dtype, *sizes) for dtype, sizes in weigh_tensors(part for part, _ in parts).items()),
        beside=_list_beside(model, name=name),
        training=dict(Counter(_training_nodes(parts))),
        random=dict(Counter(_drawing_nodes(nodes))),
        has_training_part=bool(model.training_info),
        node_notes=sum(bool(node.metadata_props or node.doc_string) for node in graph.node),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        refusal=_explain_refusal(model, name=name),
    )


def find_shape_claims(data: bytes, *, name: str) -> tuple[ShapeClaim, ...]:
    """Return the outputs whose declared shape ONNX's shape inference contradicts; none where it cannot tell.

    Raises:
        ModelError: it is no model.
    """
    import onnx

    model = parse_model(data, name=name)
    tensors = [item for item in model.graph.output if item.type.HasField("tensor_type") and not _is_unranked(item.type)]
    declared = {item.name: _sizes(item.type) for item in tensors}
    for item in tensors:
        item.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > LARGEST_SHAPE_BYTES:
            tensor.ClearField("raw_data")  # of a weight only the sizes count
    try:
        outputs = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
    except Exception:  # noqa: BLE001 - a graph that cannot be inferred contradicts nothing
        return ()
    inferred = {item.name: _sizes(item.type) for item in outputs if not _is_unranked(item.type)}
    claims = [ShapeClaim(name, sizes, inferred[name]) for name, sizes in declared.items() if name in inferred]
    return tuple(claim for claim in claims if _contradicts(claim))


def _versions(imports: Any) -> dict[str, int]:
    """Return the version of every imported domain, the newest where it is imported twice, `""` for the default one."""
    found: dict[str, int] = {}
    for entry in imports:
        domain = "" if entry.domain in DEFAULT_DOMAINS else entry.domain
        found[domain] = max(entry.version, found.get(domain, entry.version))
    return found


def _count_operators(parts: list[tuple[Any, Any]], local: set[tuple[str, str]]) -> tuple[OperatorUse, ...]:
    counts: Counter[tuple[str, str, int | None]] = Counter()
    inputs: dict[tuple[str, str, int | None], int] = {}
    for graph, imports in parts:
        versions = _versions(imports)
        for node in graph.node:
            domain = "" if node.domain in DEFAULT_DOMAINS else node.domain
            key = (domain, node.op_type, versions.get(domain))
            counts[key] += 1
            inputs[key] = max(len(node.input), inputs.get(key, 0))
    return tuple(
        OperatorUse(*key, count, inputs[key], key[:2] in local)
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0][:2]))
    )


def _spec(item: Any) -> TensorSpec:
    return TensorSpec(name=item.name, dtype=_name_kind(item.type), shape=_sizes(item.type))


def _name_kind(kind: Any) -> str:
    """Return a declared type in words: `float32`, `sequence(map(int64, float32))`, `optional(bfloat16)`."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            return name_type(kind.tensor_type.elem_type)
        case "sparse_tensor_type":
            return f"sparse {name_type(kind.sparse_tensor_type.elem_type)}"
        case "sequence_type":
            return f"sequence({_name_kind(kind.sequence_type.elem_type)})"
        case "optional_type":
            return f"optional({_name_kind(kind.optional_type.elem_type)})"
        case "map_type":
            return f"map({name_type(kind.map_type.key_type)}, {_name_kind(kind.map_type.value_type)})"
    return "undeclared"


def _sizes(kind: Any) -> tuple[int | str | None, ...]:
    tensor = kind.sparse_tensor_type if kind.HasField("sparse_tensor_type") else kind.tensor_type
    return tuple(dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None) for dim in tensor.shape.dim)


def _is_unranked(kind: Any) -> bool:
    tensor = kind.sparse_tensor_type if kind.HasField("sparse_tensor_type") else kind.tensor_type
    return not bool(tensor.HasField("shape"))


def _list_beside(model: Any, *, name: str) -> tuple[BesideFile, ...]:
    found: dict[str, BesideFile] = {}
    for tensor in iterate_tensors(model, name=name):
        if not is_external(tensor):
            continue
        place = {entry.key: entry.value for entry in tensor.external_data}
        location = place.get("location", "")
        ends_at = sum(int(text) for text in map(place.get, ("offset", "length")) if text and text.isdecimal())
        known = found.get(location, BesideFile(location, 0, 0))
        found[location] = BesideFile(location, known.tensors + 1, max(known.ends_at, ends_at))
    return tuple(found.values())


def _training_nodes(parts: list[tuple[Any, Any]]) -> Iterator[str]:
    """Yield a phrase for each node that normalises by its own batch, or drops out, as in training."""
    constants = _name_constants([part for part, _ in parts])
    for graph, imports in parts:
        version = _versions(imports).get("", 0)
        for node in graph.node:
            if node.domain not in DEFAULT_DOMAINS or node.op_type not in {"BatchNormalization", "Dropout"}:
                continue
            why = _explain_training(node, version, constants=constants)
            if why:
                yield f"{node.op_type} {why}"


def _explain_training(node: Any, version: int, *, constants: dict[str, Any]) -> str:
    if version < TEST_ATTRIBUTE_BEFORE:
        is_test = find_attribute(node, "is_test")
        return "" if is_test is not None and is_test.i else f"without is_test=1 (opset {version})"
    if node.op_type == "BatchNormalization":
        if version < NORMALISATION_ATTRIBUTE_SINCE:
            more = sum(bool(output) for output in node.output) > 1
            return f"with its statistics among its outputs (opset {version})" if more else ""
        mode = find_attribute(node, "training_mode")
        return "with training_mode=1" if mode is not None and mode.i else ""
    given = node.input[TRAINING_MODE_AT] if len(node.input) > TRAINING_MODE_AT else ""
    if version < DROPOUT_INPUT_SINCE or not given:
        return ""
    if given not in constants:
        return f"with its training_mode decided by {given!r}"
    return "with training_mode=true" if _is_true(constants[given]) else ""


def _name_constants(graphs: list[Any]) -> dict[str, Any]:
    """Return every tensor that a name stands for from the start: initialisers and Constant nodes."""
    found = {tensor.name: tensor for graph in graphs for tensor in getattr(graph, "initializer", ())}
    for graph in graphs:
        for node in graph.node:
            value = find_attribute(node, "value") if node.op_type == "Constant" else None
            if value is not None and node.output:
                found[node.output[0]] = value.t
    return found


def _is_true(tensor: Any) -> bool:
    return bool(any(tensor.raw_data) or any(tensor.int32_data))


def _drawing_nodes(nodes: list[Any]) -> Iterator[str]:
    for node in nodes:
        if node.domain in DEFAULT_DOMAINS and node.op_type in DRAWING:
            yield f"{node.op_type} {'without' if find_attribute(node, 'seed') is None else 'with'} a seed"


def _explain_refusal(model: Any, *, name: str) -> str:
    try:
        vet_parsed(model, name=name, allow_foreign=True)
    except ExternalDataError:
        return ""  # the files beside it are listed
    except ModelError as error:
        return str(error)
    return ""


def _contradicts(claim: ShapeClaim) -> bool:
    """Whether ranks differ, or two fixed sizes do; a size of 0 or less is none (some exporters write -1 for open)."""
    if len(claim.declared) != len(claim.inferred):
        return True
    return any(
        isinstance(one, int) and isinstance(other, int) and one > 0 and one != other
        for one, other in zip(claim.declared, claim.inferred, strict=True)
    )
