"""From a traced graph to the file that leaves: stripped, named, checked."""

from __future__ import annotations

__all__ = ["ExportResult", "finish_model"]

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import onnx

from .spec import DEFAULT_DOMAINS, ExportError, ExportSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """A finished file in memory.

    Attributes:
        model: the serialised model.
        operators: operator types in graph order.
    """

    model: bytes
    operators: tuple[str, ...]


def finish_model(
    model: onnx.ModelProto, spec: ExportSpec, *, metadata: Mapping[str, str], producer: str
) -> ExportResult:
    """Return the serialised file: no private traces, default domain only, `metadata` inside, fully checked.

    Args:
        model: the traced graph; left unchanged.
        spec: what the file must look like.
        metadata: written to `metadata_props`, in the order given.
        producer: written as the producer's name.

    Raises:
        ExportError: the graph breaks the spec or onnx's full checker.
    """
    finished = deepcopy(model)
    _strip(finished)
    finished.producer_name, finished.producer_version, finished.doc_string = producer, "", ""
    finished.graph.name = producer
    finished.ir_version = min(finished.ir_version, spec.max_ir_version)
    onnx.helper.set_model_props(finished, dict(metadata))
    _check_spec(finished, spec)
    try:
        onnx.checker.check_model(finished, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"onnx's checker refuses the file: {error}") from error
    return ExportResult(
        model=finished.SerializeToString(deterministic=True),
        operators=tuple(node.op_type for node in finished.graph.node),
    )


def _strip(model: onnx.ModelProto) -> None:
    """Remove stack traces, absolute source paths and other notes that exporters leave; they are private and vary."""
    del model.metadata_props[:]
    pending = [model.graph]
    while pending:
        graph = pending.pop()
        for item in (graph, *graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
            item.doc_string = ""
            del item.metadata_props[:]
        attributes = [item for node in graph.node for item in node.attribute]
        pending += [part for item in attributes for part in (*item.graphs, *([item.g] if item.HasField("g") else []))]


def _check_spec(model: onnx.ModelProto, spec: ExportSpec) -> None:
    graph = model.graph
    domains = {entry.domain for entry in model.opset_import} | {node.domain for node in graph.node}
    if domains - DEFAULT_DOMAINS or model.functions:
        raise ExportError(
            f"the graph uses domains {sorted(domains - DEFAULT_DOMAINS)} or local functions; only ONNX's own may stay"
        )
    if [entry.version for entry in model.opset_import] != [spec.opset]:
        raise ExportError(
            f"the graph has opset {[entry.version for entry in model.opset_import]}; expected {spec.opset}"
        )
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        raise ExportError("the graph keeps weights outside the file")
    names = ([item.name for item in graph.input], [item.name for item in graph.output])
    if names != (list(spec.input_names), list(spec.output_names)):
        wanted = f"{list(spec.input_names)} and {list(spec.output_names)}"
        raise ExportError(f"the graph's inputs and outputs are {names[0]} and {names[1]}; expected {wanted}")
    for item in graph.input:
        dims = item.type.tensor_type.shape.dim
        seen = {axis: dim.dim_param for axis, dim in enumerate(dims) if not dim.HasField("dim_value")}
        asked = dict(spec.dynamic.get(item.name, {}))
        if seen != asked:
            raise ExportError(f"the open axes of {item.name!r} are {seen or 'none'}; expected {asked or 'none'}")
