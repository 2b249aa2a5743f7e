"""A request as bytes: JSON, JSON with raw tensors behind it, or one raw tensor alone.

Source: Open Inference Protocol v2 with Triton's extension for binary tensors.
"""

from __future__ import annotations

__all__ = ["read_request"]

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import TensorSpec, find_dtype
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.request import InferRequest, ServedTensors, WantedOutput, check_request, read_parameters
from toolkit.serving.codec.strict_json import read_json
from toolkit.serving.codec.tensors import LENGTH, from_json, from_raw

# A client says the same of its tensors again and again. What is longer holds values, which are others the next time.
KEPT_HEADER_BYTES = 2048


class _Block(NamedTuple):
    """An input whose values lie behind the JSON."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size_bytes: int


def read_request(body: bytes, tensors: ServedTensors, *, header_length: int | None) -> InferRequest:
    """Read a request's body.

    Args:
        body: as it came, unpacked.
        tensors: of the model.
        header_length: bytes of JSON before binary data; None: all is JSON; 0: no JSON, one input of one row.

    Raises:
        RefusedError: it is not what the protocol or the model allows; says what and where.
    """
    if header_length == 0:
        return _read_raw(body, tensors)
    if header_length is not None and header_length > len(body):
        raise RefusedError(f"Inference-Header-Content-Length is {header_length}; the body has {len(body)} bytes")
    text = body if header_length is None else body[:header_length]
    read = _read_header if len(text) <= KEPT_HEADER_BYTES else _read_header.__wrapped__
    request, blocks = read(text, tensors)
    feeds, rest = {**request.feeds}, memoryview(body)[len(text) :]
    for name, dtype, shape, size in blocks:
        if size > len(rest):
            raise RefusedError(f"input {name!r} has binary_data_size {size} and the body has {len(rest)} bytes left")
        feeds[name] = from_raw(rest[:size], shape, dtype=dtype, name=name)
        rest = rest[size:]
    if len(rest):
        raise RefusedError(f"the body has {len(rest)} bytes more than its inputs' binary_data_size say")
    return request._replace(feeds=feeds)


@functools.lru_cache(maxsize=256)
def _read_header(text: bytes, tensors: ServedTensors) -> tuple[InferRequest, list[_Block]]:
    """Return a checked request that lacks the values behind its JSON, and what it says of those; both are kept."""
    blocks: list[_Block] = []

    def read_values(item: Mapping[str, Any], spec: TensorSpec) -> NDArray[Any]:
        shape, dtype = tuple(item["shape"]), find_dtype(spec.dtype)
        size = read_parameters(item, f"input {spec.name!r}").get("binary_data_size")
        if size is None:
            return from_json(item.get("data"), shape, dtype=dtype, name=spec.name)
        if "data" in item:
            raise RefusedError(f"input {spec.name!r} has binary_data_size {size} and data besides")
        blocks.append(_Block(spec.name, dtype, shape, size))
        return np.empty((*shape[:1], 0), dtype)  # as many rows, of nothing

    return check_request(read_json(text), tensors, read_values=read_values, binary=False), blocks


def _read_raw(body: bytes, tensors: ServedTensors) -> InferRequest:
    if len(tensors.inputs) != 1:
        raise RefusedError(
            f"a body of raw bytes is one input, and the model has {len(tensors.inputs)}: {', '.join(tensors.inputs)}"
        )
    spec = next(iter(tensors.inputs.values()))
    inner = spec.sizes[bool(tensors.largest) :]
    if -1 in inner:
        raise RefusedError(
            f"a body of raw bytes has no shape, and input {spec.name!r} is {list(spec.shape)}: send JSON"
        )
    shape = (1, *inner) if tensors.largest else inner
    dtype = find_dtype(spec.dtype)
    data = LENGTH.pack(len(body)) + body if dtype.kind == "U" else body
    feeds = {spec.name: from_raw(memoryview(data), shape, dtype=dtype, name=spec.name)}
    outputs = tuple(WantedOutput(name, binary=True, classes=0) for name in tensors.outputs)
    return InferRequest(id=None, feeds=feeds, rows=1, outputs=outputs, timeout_us=0)
