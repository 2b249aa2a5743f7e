"""A request for inference, read from its bytes and checked whole before it may stand beside others in a batch.

Source: Open Inference Protocol v2 with Triton's extensions for binary tensors, parameters and classification.
"""

from __future__ import annotations

__all__ = ["InferRequest", "ServedTensors", "WantedOutput", "read_request"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from toolkit.onnx_file.element_types import TensorSpec, find_dtype
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.strict_json import read_json
from toolkit.serving.codec.tensors import DATATYPES, HALF_CHARACTER, LENGTH, NOT_IN_JSON, from_json, from_raw

MOST_TIMEOUT_US = 2**63 - 1
MOST_SIZE = 2**31 - 1
# Parameters that mean something, and what they have to be.
MEANT = {
    "binary_data": bool,
    "binary_data_output": bool,
    "binary_data_size": int,
    "classification": int,
    "priority": int,
    "timeout": int,
    "sequence_start": bool,
    "sequence_end": bool,
}
NOTHING: Mapping[str, Any] = {}
WORDS = {bool: "true or false", int: "a whole number of 0 or more"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTensors:
    """What a model takes and gives over the network.

    Attributes:
        inputs: its inputs by name.
        outputs: its outputs by name.
        largest: rows in a call at most; 0 where the model has no axis of rows that others may share.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    largest: int


class WantedOutput(NamedTuple):
    """An output as the client wants it.

    Attributes:
        name: of the output.
        binary: raw bytes after the JSON.
        classes: most likely classes to tell instead of the tensor; 0: the tensor.
    """

    name: str
    binary: bool
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """A request that the model can run.

    Attributes:
        id: the client's own, echoed; None where there is none.
        feeds: every input by name.
        rows: along the first axis; 1 where the model has no axis of rows.
        outputs: what is wanted, in order.
        timeout_us: microseconds that it may wait; 0: as long as the server says.
    """

    id: str | None
    feeds: dict[str, NDArray[Any]]
    rows: int
    outputs: tuple[WantedOutput, ...]
    timeout_us: int


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
    told = read_json(text)
    blocks = memoryview(body)[len(text) :]
    parameters = _read_parameters(told, "the request")
    feeds = _read_inputs(told, tensors, blocks=blocks)
    return InferRequest(
        id=_read_id(told),
        feeds=feeds,
        rows=_count_rows(feeds, tensors),
        outputs=_read_outputs(told, tensors, binary=parameters.get("binary_data_output", False)),
        timeout_us=min(parameters.get("timeout", 0), MOST_TIMEOUT_US),
    )


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


def _read_id(told: Mapping[str, Any]) -> str | None:
    name = told.get("id")
    if name is not None and (not isinstance(name, str) or HALF_CHARACTER.search(name)):
        raise RefusedError(f"the request's id is {str(name)[:40]!r}; expected a string of whole characters")
    return name


def _read_parameters(told: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    parameters: Mapping[str, Any] = told.get("parameters", NOTHING)
    if parameters is NOTHING:
        return NOTHING
    if not isinstance(parameters, dict):
        raise RefusedError(f"{where} has parameters that are no object")
    for name, value in parameters.items():
        kind: Any = MEANT.get(name)
        if not isinstance(value, str | int | float):
            raise RefusedError(f"{where} has a parameter {name[:60]!r} that is no string, number or boolean")
        if kind and (type(value) is not kind or float(value) < 0):
            raise RefusedError(f"{where} has {name} {str(value)[:40]!r}; expected {WORDS[kind]}")
        if name.startswith("triton_"):
            raise RefusedError(f"{where} has a parameter {name[:60]!r}; names that begin with triton_ are reserved")
    return parameters


def _read_inputs(told: Mapping[str, Any], tensors: ServedTensors, *, blocks: memoryview) -> dict[str, NDArray[Any]]:
    items = _objects(told.get("inputs"), "inputs")
    if not items:
        raise RefusedError(f"the request has no inputs; the model takes {', '.join(tensors.inputs)}")
    feeds: dict[str, NDArray[Any]] = {}
    for item in items:
        name = item.get("name")
        spec = tensors.inputs.get(name) if isinstance(name, str) else None
        if spec is None or spec.name in feeds:
            problem = "given twice" if spec else "unknown"
            raise RefusedError(f"input {str(name)[:60]!r} is {problem}; the model takes {', '.join(tensors.inputs)}")
        shape, dtype = _read_shape(item, spec), find_dtype(spec.dtype)
        size = _read_parameters(item, f"input {spec.name!r}").get("binary_data_size")
        if size is None:
            feeds[spec.name] = from_json(item.get("data"), shape, dtype=dtype, name=spec.name)
            continue
        if "data" in item or size > len(blocks):
            problem = "data besides" if "data" in item else f"and the body has {len(blocks)} bytes left"
            raise RefusedError(f"input {spec.name!r} has binary_data_size {size} {problem}")
        feeds[spec.name] = from_raw(blocks[:size], shape, dtype=dtype, name=spec.name)
        blocks = blocks[size:]
    missing = [name for name in tensors.inputs if name not in feeds]
    if missing or len(blocks):
        raise RefusedError(
            f"the request lacks the inputs {', '.join(missing)}"
            if missing
            else f"the body has {len(blocks)} bytes more than its inputs' binary_data_size say"
        )
    return feeds


def _read_shape(item: Mapping[str, Any], spec: TensorSpec) -> tuple[int, ...]:
    datatype, shape = item.get("datatype"), item.get("shape")
    if datatype != DATATYPES[spec.dtype]:
        raise RefusedError(
            f"input {spec.name!r} has datatype {str(datatype)[:20]!r}; expected {DATATYPES[spec.dtype]!r}"
        )
    if not isinstance(shape, list) or any(type(size) is not int or not 0 <= size <= MOST_SIZE for size in shape):
        raise RefusedError(f"input {spec.name!r} has shape {str(shape)[:60]}; expected a list of sizes")
    wanted = list(spec.sizes)
    if len(shape) != len(wanted) or any(want not in {-1, size} for want, size in zip(wanted, shape, strict=True)):
        raise RefusedError(f"input {spec.name!r} has shape {str(shape)[:60]}; the model takes {wanted}")
    return tuple(shape)


def _count_rows(feeds: Mapping[str, NDArray[Any]], tensors: ServedTensors) -> int:
    if not tensors.largest:
        return 1
    rows: set[int] = {array.shape[0] for array in feeds.values()}
    if len(rows) != 1:
        raise RefusedError(f"the inputs have {' and '.join(map(str, sorted(rows)))} rows; expected the same of each")
    count = rows.pop()
    if not 1 <= count <= tensors.largest:
        raise RefusedError(f"the request has a batch of {count}; expected 1 to {tensors.largest}")
    return count


def _read_outputs(told: Mapping[str, Any], tensors: ServedTensors, *, binary: bool) -> tuple[WantedOutput, ...]:
    items = _objects(told.get("outputs", []), "outputs") or [{"name": name} for name in tensors.outputs]
    wanted: dict[str, WantedOutput] = {}
    for item in items:
        name = item.get("name")
        if not isinstance(name, str) or name not in tensors.outputs or name in wanted:
            problem = "asked for twice" if isinstance(name, str) and name in wanted else "unknown"
            raise RefusedError(f"output {str(name)[:60]!r} is {problem}; the model gives {', '.join(tensors.outputs)}")
        parameters = _read_parameters(item, f"output {name!r}")
        output = WantedOutput(name, parameters.get("binary_data", binary), parameters.get("classification", 0))
        _check_output(output, tensors.outputs[name], has_rows=bool(tensors.largest))
        wanted[name] = output
    return tuple(wanted.values())


def _check_output(output: WantedOutput, spec: TensorSpec, *, has_rows: bool) -> None:
    """Refuse what cannot be given before anything is computed."""
    datatype = DATATYPES[spec.dtype]
    if output.classes and (datatype in {"BYTES", "BOOL"} or len(spec.shape) <= has_rows):
        raise RefusedError(
            f"output {spec.name!r} is {datatype}, of which there are no classes; leave classification out"
        )
    if datatype in NOT_IN_JSON and not output.binary and not output.classes:
        raise RefusedError(f"output {spec.name!r} is {datatype}, which JSON cannot carry; ask for it with binary_data")


def _objects(items: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RefusedError(f"the request's {what} are no list of objects")
    return items
