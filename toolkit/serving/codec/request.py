"""A request for inference, in whatever form it came, checked whole before it may stand beside others in a batch.

Source: Open Inference Protocol v2 with Triton's extensions for parameters and classification.
"""

from __future__ import annotations

__all__ = ["InferRequest", "ServedTensors", "WantedOutput", "check_request", "read_parameters"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from toolkit.onnx_file.element_types import TensorSpec
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.tensors import DATATYPES, HALF_CHARACTER, NOT_IN_JSON

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
# Returns the values of an input, whose `shape` fits what the model has under its name.
ReadValues = Callable[[Mapping[str, Any], TensorSpec], NDArray[Any]]
WORDS = {bool: "true or false", int: "a whole number of 0 or more"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
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


class InferRequest(NamedTuple):
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


def check_request(
    told: Mapping[str, Any], tensors: ServedTensors, *, read_values: ReadValues, binary: bool
) -> InferRequest:
    """Check a request against the protocol and the model.

    Args:
        told: the request as an object of the protocol: `id`, `parameters`, `inputs`, `outputs`.
        tensors: of the model.
        read_values: is called with each input and what the model has under its name.
        binary: whether outputs that do not say come as raw bytes, unless the request says so.

    Raises:
        RefusedError: it is not what the protocol or the model allows; says what and where.
    """
    parameters = read_parameters(told, "the request")
    feeds = _read_inputs(told, tensors, read_values=read_values)
    return InferRequest(
        id=_read_id(told),
        feeds=feeds,
        rows=_count_rows(feeds, tensors),
        outputs=_read_outputs(told, tensors, binary=parameters.get("binary_data_output", binary)),
        timeout_us=min(parameters.get("timeout", 0), MOST_TIMEOUT_US),
    )


def read_parameters(told: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the parameters of a request, an input or an output.

    Raises:
        RefusedError: they are none, or one that means something is not what it has to be.
    """
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


def _read_id(told: Mapping[str, Any]) -> str | None:
    name = told.get("id")
    if name is not None and (not isinstance(name, str) or HALF_CHARACTER.search(name)):
        raise RefusedError(f"the request's id is {str(name)[:40]!r}; expected a string of whole characters")
    return name


def _read_inputs(
    told: Mapping[str, Any], tensors: ServedTensors, *, read_values: ReadValues
) -> dict[str, NDArray[Any]]:
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
        _check_shape(item, spec)
        feeds[spec.name] = read_values(item, spec)
    missing = [name for name in tensors.inputs if name not in feeds]
    if missing:
        raise RefusedError(f"the request lacks the inputs {', '.join(missing)}")
    return feeds


def _check_shape(item: Mapping[str, Any], spec: TensorSpec) -> None:
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
        parameters = read_parameters(item, f"output {name!r}")
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
