"""Rows over gRPC about requests that are wrong: each is refused with its code and told why, and hurts nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from oip.over_grpc.wire import CONTENTS, PATIENCE_S, GrpcWire, pb, refusal, require_code
from oip.rows import oip
from oip.wire import DATATYPES

pytestmark = oip
FORMS = ["raw", "contents"]
Spoil = Callable[[Any], object]


@pytest.fixture(autouse=True)
def _others_are_served(wire: GrpcWire) -> Any:
    """After each row that is refused a right request is answered."""
    yield
    assert wire.infer(wire.draft("raw", wire.make_arrays())).outputs


def _set_input(**changes: Any) -> Spoil:
    def change(request: Any) -> None:
        for name, value in changes.items():
            setattr(request.inputs[0], name, value)

    return change


def _size(place: int, size: int) -> Spoil:
    def change(request: Any) -> None:
        request.inputs[0].shape[place] = size

    return change


def _parameter(name: str, **value: Any) -> Spoil:
    return lambda request: request.parameters[name].CopyFrom(pb.InferParameter(**value))


def _twice(request: Any) -> None:
    request.inputs.add().CopyFrom(request.inputs[0])
    request.raw_input_contents.extend(request.raw_input_contents[:1])


def _no_inputs(request: Any) -> None:
    del request.inputs[:]
    del request.raw_input_contents[:]


SPOILED: dict[str, Spoil] = {
    "inputs-empty": _no_inputs,
    "inputs-empty-raw-left": lambda request: request.ClearField("inputs"),
    "parameter-of-no-kind": _parameter("a"),
    "priority-string": _parameter("priority", string_param="x"),
    "timeout-negative": _parameter("timeout", int64_param=-5),
    "timeout-string": _parameter("timeout", string_param="soon"),
    "outputs-unknown": lambda request: request.outputs.add(name="no-such-output"),
    "outputs-nameless": lambda request: request.outputs.add(),
    "input-name-unknown": _set_input(name="no-such-input"),
    "input-nameless": _set_input(name=""),
    "input-twice": _twice,
    "datatype-unknown": _set_input(datatype="FLOAT99"),
    "datatype-missing": _set_input(datatype=""),
    "datatype-lower-case": lambda request: _set_input(datatype=request.inputs[0].datatype.lower())(request),
    "datatype-of-another-input": lambda request: _set_input(
        datatype="FP64" if request.inputs[0].datatype != "FP64" else "INT8"
    )(request),
    "shape-missing": lambda request: request.inputs[0].ClearField("shape"),
    "shape-negative": _size(0, -1),
    "shape-zero": _size(0, 0),
    "shape-2^31": _size(0, 2**31),
    "shape-2^63": _size(0, 2**63 - 1),
    "shape-minus-2^63": _size(0, -(2**63)),
    "shape-one-more-row": _size(0, 2),
    "shape-another-rank": lambda request: request.inputs[0].shape.append(1),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SPOILED)
def test_grpc_spoiled_request_is_invalid(wire: GrpcWire, form: str, name: str) -> None:
    request = wire.draft(form, wire.make_arrays())
    SPOILED[name](request)
    require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


@pytest.mark.parametrize("form", FORMS)
def test_grpc_a_missing_input_is_invalid_and_named(wire: GrpcWire, form: str) -> None:
    if len(wire.inputs) < 2:
        pytest.skip("the model has one input")
    request = wire.draft(form, wire.make_arrays())
    del request.inputs[0]
    del request.raw_input_contents[:1]
    assert wire.inputs[0].name in require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


@pytest.mark.parametrize("form", FORMS)
def test_grpc_batch_over_the_largest_is_invalid(wire: GrpcWire, form: str) -> None:
    if wire.largest is None:
        pytest.skip("the server's configuration tells no largest batch")
    assert wire.infer(wire.draft(form, wire.make_arrays(batch=wire.largest))).outputs
    request = wire.draft(form, wire.make_arrays(batch=wire.largest + 1))
    assert str(wire.largest) in require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("name", "version"), [("no-such-model", ""), ("", ""), (None, "99"), (None, "one"), (None, "-1")]
)
def test_grpc_inference_by_an_unknown_model_or_version_is_not_found(
    wire: GrpcWire, name: str | None, version: str
) -> None:
    request = wire.draft("raw", wire.make_arrays(), model_version=version)
    request.model_name = wire.model if name is None else name
    require_code(lambda: wire.infer(request), "NOT_FOUND")


NO_MESSAGES = {
    "no-key": b"\xff\xff\xff",
    "length-past-the-end": b"\x0a\xff\xff\xff\xff\x0f",
    "no-text": b"\x0a\x02\xff\xfe",
    "json": b"{}" * 40,
    "cut": b"\x3a\x04",
}


@pytest.mark.parametrize("data", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_grpc_message_that_is_none_is_refused(wire: GrpcWire, data: bytes) -> None:
    ask = wire.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    code = refusal(lambda: ask(data, timeout=PATIENCE_S)).code().name
    assert code in {"INVALID_ARGUMENT", "NOT_FOUND"}, f"{code} "


@pytest.mark.parametrize("change", [-1, 1])
def test_grpc_too_few_or_many_contents_are_invalid(wire: GrpcWire, change: int) -> None:
    request = wire.draft("contents", wire.make_arrays())
    values = getattr(request.inputs[0].contents, CONTENTS[wire.inputs[0].datatype])
    if change < 0:
        del values[-1]
    else:
        values.append(values[0])
    assert wire.inputs[0].name in require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


def test_grpc_no_contents_at_all_are_invalid(wire: GrpcWire) -> None:
    request = wire.draft("contents", wire.make_arrays())
    request.inputs[0].ClearField("contents")
    require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


def test_grpc_contents_of_another_type_are_invalid(wire: GrpcWire) -> None:
    for is_beside in (False, True):
        request = wire.draft("contents", wire.make_arrays())
        field = CONTENTS[wire.inputs[0].datatype]
        values = list(getattr(request.inputs[0].contents, field))
        if not is_beside:
            request.inputs[0].contents.ClearField(field)
        other = "fp64_contents" if field != "fp64_contents" else "fp32_contents"
        getattr(request.inputs[0].contents, other).extend([1.0] * len(values))
        require_code(lambda request=request: wire.infer(request), "INVALID_ARGUMENT")


@pytest.mark.parametrize("past", ["one-more", "one-less"])
def test_grpc_value_out_of_its_types_range_is_invalid_and_told(wire: GrpcWire, past: str) -> None:
    """Wrapped to 0 it would be an answer to another picture."""
    narrow = {"UINT8", "UINT16", "INT8", "INT16"}
    place = next((number for number, item in enumerate(wire.inputs) if item.datatype in narrow), None)
    if place is None:
        pytest.skip("the model has no input of 8 or 16 bits, of which a message has room for more")
    spec = wire.inputs[place]
    limits = np.iinfo(DATATYPES[spec.datatype])
    if past == "one-less" and limits.min == 0:
        pytest.skip("the message's field has no negative numbers")
    request = wire.draft("contents", wire.make_arrays())
    values = getattr(request.inputs[place].contents, CONTENTS[spec.datatype])
    index = min(2, len(values) - 1)
    values[index] = int(limits.max) + 1 if past == "one-more" else int(limits.min) - 1
    message = require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")
    assert spec.name in message
    assert str(index) in message


def test_grpc_contents_beside_raw_contents_are_invalid(wire: GrpcWire) -> None:
    request = wire.draft("raw", wire.make_arrays())
    request.inputs[0].contents.CopyFrom(wire.draft("contents", wire.make_arrays()).inputs[0].contents)
    require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


@pytest.mark.parametrize("change", [-1, 1])
def test_grpc_another_number_of_raw_contents_is_invalid(wire: GrpcWire, change: int) -> None:
    request = wire.draft("raw", wire.make_arrays())
    if change > 0:
        request.raw_input_contents.append(request.raw_input_contents[0])
    elif len(wire.inputs) > 1:
        del request.raw_input_contents[-1]
    else:
        pytest.skip("the model has one input")
    require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


@pytest.mark.parametrize("change", ["empty", "short", "long", "far-too-long"])
def test_grpc_raw_contents_of_another_size_are_invalid(wire: GrpcWire, change: str) -> None:
    request = wire.draft("raw", wire.make_arrays())
    (first, *_) = request.raw_input_contents
    request.raw_input_contents[0] = {
        "empty": b"",
        "short": first[:-1],
        "long": first + b"\x00",
        "far-too-long": first + bytes(20_000),
    }[change]
    assert wire.inputs[0].name in require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


@pytest.mark.parametrize("length", [0, 2, 2**31, 2**32 - 1])
def test_grpc_strings_whose_lengths_are_garbage_are_invalid(wire: GrpcWire, length: int) -> None:
    place = next((number for number, item in enumerate(wire.inputs) if item.datatype == "BYTES"), None)
    if place is None:
        pytest.skip("the model has no input of strings")
    request = wire.draft("raw", wire.make_arrays())
    request.raw_input_contents[place] = length.to_bytes(4, "little") + b"a"
    require_code(lambda: wire.infer(request), "INVALID_ARGUMENT")


def test_grpc_shape_far_larger_than_the_data_allocates_nothing(wire: GrpcWire) -> None:
    for form in FORMS:
        request = wire.draft(form, wire.make_arrays())
        request.inputs[0].shape[0] = 2**31 - 1
        require_code(lambda request=request: wire.infer(request), "INVALID_ARGUMENT")


def test_grpc_message_larger_than_any_request_is_exhausted(wire: GrpcWire) -> None:
    for compression in (None, grpc.Compression.Gzip):
        request = wire.draft("raw", wire.make_arrays())
        request.raw_input_contents[0] = bytes(80 << 20)
        code = require_code(
            lambda request=request, compression=compression: wire.infer(request, compression=compression),
            "RESOURCE_EXHAUSTED",
        )
        assert "larger" in code


@pytest.mark.parametrize(
    "kind", [{"int64_param": -1}, {"string_param": "2"}, {"bool_param": True}, {"double_param": 1.5}]
)
def test_grpc_classification_of_no_number_of_classes_is_invalid(wire: GrpcWire, kind: dict[str, Any]) -> None:
    if "classification" not in wire.extensions:
        pytest.skip("the server has no classification extension")
    outputs = [{"name": wire.outputs[0].name, "parameters": {"classification": kind}}]
    require_code(lambda: wire.infer(wire.draft("raw", wire.make_arrays(), outputs=outputs)), "INVALID_ARGUMENT")


def test_grpc_half_precision_is_in_no_contents(wire: GrpcWire) -> None:
    try:
        half = GrpcWire.find(wire.address, "half")
    except grpc.RpcError:
        pytest.skip("the server has no model `half` with an input of FP16")
    arrays = half.make_arrays()
    assert half.infer(half.draft("raw", arrays)).outputs
    request = half.draft("raw", arrays)
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend([1.0] * arrays[half.inputs[0].name].size)
    require_code(lambda: half.infer(request), "INVALID_ARGUMENT")
