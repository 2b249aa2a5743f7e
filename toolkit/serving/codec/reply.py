"""An answer as bytes: JSON, or JSON with raw tensors behind it, or the most likely classes in words.

Source: Open Inference Protocol v2 with Triton's extensions for binary tensors and classification.
"""

from __future__ import annotations

__all__ = ["HEADER_LENGTH", "Reply", "json_reply", "show_outputs", "write_reply"]

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import type_name
from toolkit.serving.codec.request import InferRequest, WantedOutput
from toolkit.serving.codec.tensors import DATATYPES, to_json, to_raw

HEADER_LENGTH = b"inference-header-content-length"
ENCODER = json.JSONEncoder(separators=(",", ":"))
JSON_TYPE = (b"content-type", b"application/json")


class Reply(NamedTuple):
    """What goes back to a client.

    Attributes:
        status: of HTTP.
        headers: names and values, without the length.
        body: all of it.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def json_reply(told: Any, *, status: int = 200) -> Reply:
    """Return an answer of JSON."""
    return Reply(status, (JSON_TYPE,), ENCODER.encode(told).encode())


def write_reply(
    request: InferRequest, values: Mapping[str, NDArray[Any]], *, head: dict[str, str], classes: Sequence[str] = ()
) -> Reply:
    """Return the answer to a request.

    Args:
        request: what was asked for.
        values: every output by name, of the request's rows.
        head: `model_name` and `model_version`.
        classes: their names, where the model's card has them.

    Raises:
        RefusedError: a value is none that JSON can carry, and JSON was asked for.
    """
    outputs, blocks = [], []
    for wanted, value in show_outputs(request, values, classes=classes):
        if wanted.binary:
            blocks.append(to_raw(value))
            outputs.append(_tell(wanted.name, value.dtype, shape=value.shape, size=len(blocks[-1])))
        else:
            data = ENCODER.encode(to_json(value, name=wanted.name))
            outputs.append(f'{_tell(wanted.name, value.dtype, shape=value.shape, size=None)[:-1]},"data":{data}}}')
    words = {**head, **({} if request.id is None else {"id": request.id})}
    begin = ",".join(f'"{name}":{ENCODER.encode(word)}' for name, word in words.items())
    text = f'{{{begin},"outputs":[{",".join(outputs)}]}}'.encode()
    if not blocks:
        return Reply(200, (JSON_TYPE,), text)
    headers = ((b"content-type", b"application/octet-stream"), (HEADER_LENGTH, b"%d" % len(text)))
    return Reply(200, headers, b"".join((text, *blocks)))


def show_outputs(
    request: InferRequest, values: Mapping[str, NDArray[Any]], *, classes: Sequence[str]
) -> Iterator[tuple[WantedOutput, NDArray[Any]]]:
    """Return each output that is wanted, with what is to be told of it: its values, or its most likely classes."""
    for wanted in request.outputs:
        value = values[wanted.name]
        yield wanted, _name_classes(value, wanted.classes, names=classes) if wanted.classes else value


@functools.lru_cache(maxsize=1000)  # a model gives the same few shapes again and again
def _tell(name: str, dtype: np.dtype[Any], *, shape: tuple[int, ...], size: int | None) -> str:
    told = {"name": name, "datatype": DATATYPES[type_name(dtype)], "shape": shape}
    return ENCODER.encode(told if size is None else {**told, "parameters": {"binary_data_size": size}})


def _name_classes(value: NDArray[Any], count: int, *, names: Sequence[str]) -> NDArray[np.str_]:
    """Return `score:index[:label]` of the largest values along the last axis, the largest first."""
    rows = value.reshape(-1, value.shape[-1]) if value.ndim > 1 else value.reshape(1, -1)
    count = min(count, rows.shape[1])
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    has_names = len(names) == rows.shape[1]
    texts = [
        [f"{row[at].item()}:{at}" + (f":{names[at]}" if has_names else "") for at in places]
        for row, places in zip(rows, order.tolist(), strict=True)
    ]
    return np.array(texts, np.str_).reshape(*value.shape[:-1], count)
