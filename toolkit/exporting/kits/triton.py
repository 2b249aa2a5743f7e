"""A model repository of Triton Inference Server, made from the file itself and read back with Triton's own schema."""

from __future__ import annotations

__all__ = ["check_config", "triton_files"]

from pathlib import Path, PurePosixPath
from typing import Any

import onnx

from toolkit.exporting.kits.values import KitSource, safe_words
from toolkit.programs import import_extra

Files = dict[PurePosixPath, bytes]
# ONNX's element types by Triton's words (its model configuration, data types).
TYPES: dict[int, str] = {
    onnx.TensorProto.UINT8: "TYPE_UINT8",
    onnx.TensorProto.FLOAT: "TYPE_FP32",
    onnx.TensorProto.INT64: "TYPE_INT64",
}


def triton_files(files: Files, source: KitSource) -> Files:
    """Arrange a kit's files as a model repository: `repository/<name>/config.pbtxt`, `labels.txt`, `1/model.onnx`."""
    root = PurePosixPath("repository", source.identifier)
    config = files.pop(PurePosixPath("config.pbtxt")).decode()
    model = files.pop(PurePosixPath("model.onnx"))
    labels = "".join(f"{safe_words(name)}\n" for name in source.card.classes)
    return {
        **files,
        root / "config.pbtxt": config.encode(),
        PurePosixPath("config.gpu.pbtxt"): config.replace("KIND_CPU", "KIND_GPU").encode(),
        root / "labels.txt": labels.encode(),
        root / "1" / "model.onnx": model,
    }


def check_config(folder: Path) -> list[str]:
    """Read a kit's configuration with Triton's own schema and hold it against the file; returns what is wrong.

    Raises:
        ResourceError: tritonclient is not installed.
    """
    client = import_extra("tritonclient.grpc", extra="kits", user="it")
    from google.protobuf import text_format

    model_config_pb2 = client.model_config_pb2
    (path,) = folder.glob("repository/*/config.pbtxt")
    config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    graph = onnx.load(str(path.parent / "1" / "model.onnx")).graph
    problems = [] if config.name == path.parent.name else [f"its name {config.name!r} is not its folder's"]
    kinds = dict(model_config_pb2.DataType.items())
    for stated, actual in ((config.input, graph.input), (config.output, graph.output)):
        known = {item.name: item for item in actual}
        if {item.name for item in stated} != known.keys():
            problems.append(f"it names {[item.name for item in stated]}; the file has {[*known]}")
            continue
        for item in stated:
            problems += _compare(item, known[item.name], kinds=kinds)
    labels = (path.parent / "labels.txt").read_text().splitlines()
    width = next(item.dims[0] for item in config.output if item.name == "probabilities")
    return problems if len(labels) == width else [*problems, f"labels.txt has {len(labels)} names for {width} classes"]


def _compare(stated: Any, actual: onnx.ValueInfoProto, *, kinds: dict[str, int]) -> list[str]:
    tensor = actual.type.tensor_type
    problems = []
    if stated.data_type != kinds[TYPES[tensor.elem_type]]:
        problems.append(f"{stated.name} has another type than in the file")
    # Without the batch axis; a reshape says what the file really has.
    sizes = [dim.dim_value for dim in tensor.shape.dim][1:]
    told = list(stated.reshape.shape) if stated.HasField("reshape") else list(stated.dims)
    return problems if told == sizes else [*problems, f"{stated.name} is {told}; in the file it is {sizes}"]
