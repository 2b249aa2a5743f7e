"""Requests and answers as messages: tensors raw, or in the field of their type; the checks are those of every form."""

from __future__ import annotations

__all__ = ["read_message", "write_message"]

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import TensorSpec, find_dtype, type_name
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.reply import show_outputs
from toolkit.serving.codec.request import InferRequest, ServedTensors, check_request
from toolkit.serving.codec.tensors import DATATYPES, from_json, from_raw, require_count, to_raw
from toolkit.serving.grpc.messages import message_class

# In which field of the message the values of a datatype lie; those of half precision in none.
FIELDS = {
    "BOOL": "bool_contents",
    **{f"INT{bits}": "int_contents" for bits in (8, 16, 32)},
    **{f"UINT{bits}": "uint_contents" for bits in (8, 16, 32)},
    **{datatype: f"{datatype.lower()}_contents" for datatype in ("INT64", "UINT64", "FP32", "FP64", "BYTES")},
}
Response = message_class("ModelInferResponse")


def read_message(message: Any, tensors: ServedTensors, *, left_s: float | None) -> InferRequest:
    """Read a `ModelInferRequest`.

    Args:
        message: as it came.
        tensors: of the model.
        left_s: seconds that the client waits from now on; None: it does not say.

    Raises:
        RefusedError: it is not what the protocol or the model allows; says what and where.
    """
    blocks = message.raw_input_contents
    if blocks and len(blocks) != len(message.inputs):
        raise RefusedError(f"the request has {len(message.inputs)} inputs and {len(blocks)} raw_input_contents")

    def read_values(item: Mapping[str, Any], spec: TensorSpec) -> NDArray[Any]:
        shape = tuple(item["shape"])
        given = {field.name: values for field, values in item["contents"].ListFields()}
        if not blocks:
            return _from_contents(given, shape, spec=spec)
        if given:
            raise RefusedError(f"input {spec.name!r} has contents besides raw_input_contents; leave them empty")
        return from_raw(memoryview(item["raw"]), shape, dtype=find_dtype(spec.dtype), name=spec.name)

    told = {
        "id": message.id or None,
        "parameters": _tell(message.parameters),
        "inputs": [
            {
                "name": item.name,
                "datatype": item.datatype,
                "shape": list(item.shape),
                "parameters": _tell(item.parameters),
                "contents": item.contents,
                "raw": blocks[at] if blocks else b"",
            }
            for at, item in enumerate(message.inputs)
        ],
        "outputs": [{"name": item.name, "parameters": _tell(item.parameters)} for item in message.outputs],
    }
    request = check_request(told, tensors, read_values=read_values, binary=True)
    if left_s is None:
        return request
    left_us = max(1, int(left_s * 1e6))
    return request._replace(timeout_us=min(request.timeout_us or left_us, left_us))


def write_message(
    request: InferRequest, values: Mapping[str, NDArray[Any]], *, head: dict[str, str], classes: Sequence[str]
) -> Any:
    """Return the answer to a request, every output raw; arguments as of `write_reply`."""
    response = Response(id=request.id or "", **head)
    for wanted, value in show_outputs(request, values, classes=classes):
        response.outputs.add(name=wanted.name, datatype=DATATYPES[type_name(value.dtype)], shape=value.shape)
        response.raw_output_contents.append(to_raw(value))
    return response


def _tell(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON has them; None where a value is of no kind."""
    kinds = ((name, value, value.WhichOneof("parameter_choice")) for name, value in parameters.items())
    return {name: kind and getattr(value, kind) for name, value, kind in kinds}


def _from_contents(given: dict[str, Any], shape: tuple[int, ...], *, spec: TensorSpec) -> NDArray[Any]:
    """Return a tensor of the values in its type's field."""
    datatype, dtype = DATATYPES[spec.dtype], find_dtype(spec.dtype)
    field = FIELDS.get(datatype)
    if field is None:
        raise RefusedError(f"input {spec.name!r} is {datatype}, which has no contents; send raw_input_contents")
    if not given.keys() <= {field}:
        raise RefusedError(f"input {spec.name!r} has {', '.join(given)}; {datatype} belongs in {field}")
    values = given.get(field, ())
    if dtype.kind == "f":  # every number, and what is none: as raw
        require_count(values, shape, name=spec.name)
        return np.array(values, dtype).reshape(shape)
    if datatype == "BYTES":
        try:
            values = [text.decode() for text in values]
        except UnicodeDecodeError as error:
            raise RefusedError(f"input {spec.name!r} has a string that is not UTF-8") from error
    return from_json(list(values), shape, dtype=dtype, name=spec.name)
