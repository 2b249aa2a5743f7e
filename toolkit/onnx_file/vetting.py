"""A file's bytes, judged with onnx before any engine sees them: engines do open external files, even from bytes."""

from __future__ import annotations

__all__ = ["parse_model", "require_metadata_within_cap", "vet_model", "vet_parsed"]

import json
import math
import shlex
from typing import Any

from toolkit.counts import count_of
from toolkit.errors import ExternalDataError, ModelError
from toolkit.onnx_file.graph_parts import (
    DEFAULT_DOMAINS,
    all_tensors,
    declared_sizes,
    has_zero,
    is_external,
    iterate_graphs,
    sparse_tensors,
    weigh_tensors,
)

FUNCTION_CAP = 1_000
TENSOR_CAP_BYTES = 4 << 30
# A type that has no name in NumPy is counted as its widest, complex128.
WIDEST_BYTES = 16
# A card takes some 300 kB.
METADATA_CAP_BYTES = 16 << 20
# Where, which bytes, and what a file that has them is: the signatures that these formats' own texts give.
SIGNATURES = (
    (0, b"version https://git-lfs", "it is Git LFS's note of where the file lies; fetch the file with: git lfs pull"),
    (0, b"<", "it is a web page or XML; download the file itself"),
    (0, b"PK\x03\x04", "it is a ZIP archive, as torch.save writes; unpack it, or export its network to ONNX"),
    (0, b"\x80\x02", "it is a pickle, as torch.save wrote; export its network to ONNX"),
    (0, b"\x89HDF", "it is HDF5, as Keras writes; export its network to ONNX"),
    (0, b"\x1f\x8b", "it is packed with gzip; unpack it"),
    (4, b"TFL3", "it is a TensorFlow Lite model; export its network to ONNX"),
    (4, b"ORTM", "it is in ONNX Runtime's own format; take the .onnx that it was made from"),
)


def vet_model(data: bytes, *, name: str, allow_foreign: bool) -> dict[str, Any]:
    """Parse a model and refuse what must not reach an engine.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.
        allow_foreign: accept operators outside ONNX's default domain.

    Returns:
        A summary: `opset` (None where nothing is of ONNX's default domain), `domains`, `ir_version`, `operators` (of
        every graph), `metadata`, `node_notes` (nodes that carry metadata), `weight_types` (numbers in the weights by
        NumPy's name of their type), `output_sizes` (of each output, as declared), `zero_inputs` (inputs that declare a
        size of 0).

    Raises:
        ModelError: not a model, an absurd size, an unknown operator set, a foreign domain.
        ExternalDataError: numbers lie outside the file.
    """
    return vet_parsed(parse_model(data, name=name), name=name, allow_foreign=allow_foreign)


def parse_model(data: bytes, *, name: str) -> Any:
    """Return the `onnx.ModelProto` that the bytes are; nothing but its outline is looked at.

    Raises:
        ModelError: they are none, or have no graph, no operator set or no IR version.
    """
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        cut = (
            f"its {count_of(len(data), 'byte')} {'is' if len(data) == 1 else 'are'} no protobuf, or only a part "
            "of one; fetch or export the file again"
        )
        raise ModelError(f"{name} is not an ONNX model: {_describe_other_file(data) or cut}") from error
    if not model.HasField("graph") or not model.opset_import or not model.ir_version:
        lack = "it has no graph, no opset or no IR version"
        raise ModelError(f"{name} is not an ONNX model: {_describe_other_file(data) or lack}")
    return model


def _describe_other_file(data: bytes) -> str:
    """Return what the bytes seem to be, and the next step; empty where nothing is known of them."""
    begins = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    found = (words for place, magic, words in SIGNATURES if (begins if place == 0 else data[place:]).startswith(magic))
    return next(found, "")


def vet_parsed(model: Any, *, name: str, allow_foreign: bool) -> dict[str, Any]:
    """Refuse a parsed model, or return its summary; as `vet_model`."""
    graphs = list(iterate_graphs(model, name=name))
    _check_sizes(model, graphs, name=name)
    _check_tensors(graphs, name=name)
    domains = sorted(
        {entry.domain for entry in model.opset_import} | {node.domain for graph in graphs for node in graph.node}
    )
    foreign = [domain for domain in domains if domain not in DEFAULT_DOMAINS]
    if (foreign or model.functions) and not allow_foreign:
        raise ModelError(
            f"{name} uses the operator domains {foreign} or local functions; only ONNX's default domain is run here"
        )
    _check_opset(model, graphs, name=name)
    return {
        "opset": max((entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS), default=None),
        "domains": domains,
        "ir_version": model.ir_version,
        "operators": [node.op_type for graph in graphs for node in graph.node],
        "metadata": {entry.key: entry.value for entry in model.metadata_props},
        "node_notes": sum(bool(node.metadata_props or node.doc_string) for node in model.graph.node),
        "output_sizes": {item.name: declared_sizes(item) for item in model.graph.output},
        "zero_inputs": [item.name for item in model.graph.input if has_zero(item)],
        "weight_types": {dtype: numbers for dtype, (_, numbers) in weigh_tensors(graphs).items()},
    }


def _check_sizes(model: Any, graphs: list[Any], *, name: str) -> None:
    if len(model.functions) > FUNCTION_CAP:
        raise ModelError(f"{name} has {len(model.functions)} local functions; the most is {FUNCTION_CAP}")
    if not any(len(graph.node) for graph in graphs):
        raise ModelError(f"{name} has no nodes")
    if not model.graph.output:
        raise ModelError(f"{name} has no outputs")
    require_metadata_within_cap(model, name=name)


def require_metadata_within_cap(model: Any, *, name: str) -> None:
    """Refuse a model with more metadata than a card takes.

    Raises:
        ModelError: it has more.
    """
    metadata_bytes = sum(entry.ByteSize() for entry in model.metadata_props)
    if metadata_bytes > METADATA_CAP_BYTES:
        raise ModelError(f"{name} has {metadata_bytes} bytes of metadata; the most is {METADATA_CAP_BYTES}")


def _check_tensors(graphs: list[Any], *, name: str) -> None:
    for tensor in all_tensors(graphs):
        if is_external(tensor):
            place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            raise ExternalDataError(
                f"{name}: tensor {tensor.name!r} lies outside the file, in {place!r}; external data is never opened "
                f"unasked; {_make_one_file(name)}"
            )
        _check_shape(tensor, tensor.dims, name=name)
    # Of a sparse tensor the file holds few values, and engines fill in the zeros.
    for sparse in sparse_tensors(graphs):
        _check_shape(sparse.values, sparse.dims, name=name)


def _make_one_file(name: str) -> str:
    """Return how a trusted model becomes one file; its name is quoted for Python and for the shell."""
    whole, one = (json.dumps(text, ensure_ascii=False) for text in (name, f"{name.removesuffix('.onnx')}-one.onnx"))
    words = shlex.quote(f"import onnx; onnx.save(onnx.load({whole}), {one})")
    return f"where you trust it, this makes one file of it, in its folder: python -c {words}"


def _check_shape(tensor: Any, shape: Any, *, name: str) -> None:
    size = math.prod(shape) * _item_bytes(tensor.data_type)
    if size > TENSOR_CAP_BYTES or any(side < 0 for side in shape):
        raise ModelError(
            f"{name}: tensor {tensor.name!r} has shape {list(shape)}, {size:,} bytes; the most is {TENSOR_CAP_BYTES:,}"
        )


def _item_bytes(data_type: int) -> int:
    import onnx

    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize)
    except KeyError:
        return WIDEST_BYTES


def _check_opset(model: Any, graphs: list[Any], *, name: str) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    versions = [entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    if not versions and all(node.domain not in DEFAULT_DOMAINS for graph in graphs for node in graph.node):
        return  # a file of ai.onnx.ml alone, say, needs none
    if not versions or not 1 <= max(versions) <= newest:
        raise ModelError(f"{name} asks for opset {versions or 'none'}; this onnx knows 1 to {newest}")
