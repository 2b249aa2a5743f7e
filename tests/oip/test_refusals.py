"""Rows about requests that are wrong: each is refused with 400 and told why, and hurts nobody else."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from oip.rows import FORMS, oip, require_error
from oip.wire import DATATYPES, HEADER_LENGTH, Draft, Wire

pytestmark = oip


@pytest.fixture(autouse=True)
def _others_are_served(wire: Wire) -> Any:
    """After each row that is refused a right request is answered."""
    yield
    assert wire.infer(wire.draft("json", wire.make_arrays())).status == 200


def _set(**changes: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.document.update(changes)


def _set_input(**changes: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.input.update(changes)


def _size(place: int, size: Any) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        draft.input["shape"][place] = size

    return change


def _drop(name: str) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        del draft.input[name]

    return change


def _twice(draft: Draft) -> None:
    draft.document["inputs"].append(dict(draft.input))
    draft.tensors += draft.tensors[:1]


SPOILED = {
    "inputs-empty": _set(inputs=[]),
    "inputs-object": _set(inputs={}),
    "inputs-null": _set(inputs=None),
    "inputs-of-numbers": _set(inputs=[1]),
    "id-number": _set(id=7),
    "id-object": _set(id={}),
    "parameters-list": _set(parameters=[]),
    "parameters-object-value": _set(parameters={"a": {"b": 1}}),
    "parameters-list-value": _set(parameters={"a": [1]}),
    "parameters-null-value": _set(parameters={"a": None}),
    "priority-string": _set(parameters={"priority": "x"}),
    "timeout-negative": _set(parameters={"timeout": -5}),
    "timeout-string": _set(parameters={"timeout": "soon"}),
    "outputs-unknown": _set(outputs=[{"name": "no-such-output"}]),
    "outputs-nameless": _set(outputs=[{}]),
    "outputs-object": _set(outputs={}),
    "outputs-of-strings": _set(outputs=["logits"]),
    "input-name-unknown": _set_input(name="no-such-input"),
    "input-name-number": _set_input(name=5),
    "input-nameless": _drop("name"),
    "input-twice": _twice,
    "datatype-unknown": _set_input(datatype="FLOAT99"),
    "datatype-number": _set_input(datatype=3),
    "datatype-missing": _drop("datatype"),
    "datatype-lower-case": lambda draft: draft.input.update(datatype=draft.input["datatype"].lower()),
    "datatype-of-another-input": lambda draft: draft.input.update(
        datatype="FP64" if draft.input["datatype"] != "FP64" else "INT8"
    ),
    "shape-missing": _drop("shape"),
    "shape-empty": _set_input(shape=[]),
    "shape-scalar": _set_input(shape=1),
    "shape-negative": _size(0, -1),
    "shape-zero": _size(0, 0),
    "shape-2^31": _size(0, 2**31),
    "shape-2^63": _size(0, 2**63),
    "shape-2^64": _size(0, 2**64),
    "shape-wraps-to-itself": lambda draft: draft.input["shape"].insert(0, 2**64 + 1),
    "shape-float": _size(0, 1.5),
    "shape-string": _size(0, "1"),
    "shape-true": _size(0, True),
    "shape-one-more-row": _size(0, 2),
    "shape-another-rank": lambda draft: draft.input["shape"].append(1),
    "input-parameters-object-value": lambda draft: draft.input.setdefault("parameters", {}).update(a={}),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_request_is_400(wire: Wire, form: str, name: str) -> None:
    draft = wire.draft(form, wire.make_arrays())
    SPOILED[name](draft)
    require_error(wire.infer(draft), 400)


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_input_is_400_and_named(wire: Wire, form: str) -> None:
    if len(wire.inputs) < 2:
        pytest.skip("the model has one input")
    draft = wire.draft(form, wire.make_arrays())
    draft.document["inputs"] = draft.document["inputs"][1:]
    draft.tensors = draft.tensors[1:]
    assert wire.inputs[0].name in require_error(wire.infer(draft), 400)


@pytest.mark.parametrize("form", FORMS)
def test_batch_over_the_largest_is_400(wire: Wire, form: str) -> None:
    if wire.largest is None:
        pytest.skip("the server's configuration tells no largest batch")
    assert wire.infer(wire.draft(form, wire.make_arrays(batch=wire.largest))).status == 200
    draft = wire.draft(form, wire.make_arrays(batch=wire.largest + 1))
    assert str(wire.largest) in require_error(wire.infer(draft), 400)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"null", b"7", b'"inputs"', b"not json", b"{", b'{"inputs": [', b"\xff\xfe", b"\x00"),
        b'\xef\xbb\xbf{"inputs": []}',
        b"{} {}",
    ],
)
def test_body_that_is_no_request_is_400(wire: Wire, body: bytes) -> None:
    require_error(wire.ask("POST", f"{wire.path}/infer", body), 400)


@pytest.mark.parametrize("place", ["top", "input", "parameters"])
@pytest.mark.parametrize("form", FORMS)
def test_duplicate_key_is_400(wire: Wire, form: str, place: str) -> None:
    draft = wire.draft(form, wire.make_arrays(), id="first", parameters={"a": 1})
    body, tail = json.dumps(draft.document), b"".join(draft.tensors)
    name = json.dumps(wire.inputs[0].name)
    old, new = {
        "top": ('"id": "first"', '"id": "first", "id": "second"'),
        "input": (f'"name": {name}', f'"name": "other", "name": {name}'),
        "parameters": ('"a": 1', '"a": 2, "a": 1'),
    }[place]
    text = body.replace(old, new, 1).encode()
    assert text.decode() != body
    headers = {HEADER_LENGTH: str(len(text))} if tail else {}
    require_error(wire.ask("POST", f"{wire.path}/infer", text + tail, headers), 400)


@pytest.mark.parametrize("change", [-1, 1])
def test_too_few_or_many_values_in_json_are_400(wire: Wire, change: int) -> None:
    draft = wire.draft("json", wire.make_arrays())
    data = draft.input["data"]
    draft.input["data"] = data[:-1] if change < 0 else [*data, data[0]]
    assert wire.inputs[0].name in require_error(wire.infer(draft), 400)


@pytest.mark.parametrize("nested", ["ragged", "deeper", "transposed", "object", "null", "string"])
def test_data_of_another_nesting_are_400(wire: Wire, nested: str) -> None:
    arrays = wire.make_arrays(batch=wire.up_to(2))
    draft, array = wire.draft("json", arrays), arrays[wire.inputs[0].name]
    rows = array.tolist()
    if array.ndim < 2 or array.shape[0] == array.shape[1]:
        pytest.skip("the first input has no two sizes that differ")
    draft.input["data"] = {
        "ragged": [rows[0][:-1], *rows[1:]],
        "deeper": [[rows]],
        "transposed": np.moveaxis(array, 0, 1).tolist(),
        "object": {"0": rows},
        "null": None,
        "string": "0" * array.size,
    }[nested]
    require_error(wire.infer(draft), 400)


BAD_NUMBERS = {
    "fraction": 3.7,
    "string": "3",
    "true": True,
    "null": None,
    "list": [3],
    "NaN": float("nan"),
    "Infinity": float("inf"),
}


@pytest.mark.parametrize("bad", BAD_NUMBERS)
def test_value_that_is_no_whole_number_is_400_and_told(wire: Wire, bad: str) -> None:
    _require_told(wire, BAD_NUMBERS[bad], names=lambda item: item.datatype.startswith(("INT", "UINT")))


@pytest.mark.parametrize("past", ["one-more", "one-less", "huge", "as-float"])
def test_value_out_of_its_types_range_is_400_and_told(wire: Wire, past: str) -> None:
    """Wrapped to 0 it would be an answer to another picture."""
    spec = next((item for item in wire.inputs if item.datatype.startswith(("INT", "UINT"))), None)
    if spec is None:
        pytest.skip("the model has no input of whole numbers")
    limits = np.iinfo(DATATYPES[spec.datatype])
    value = {
        "one-more": int(limits.max) + 1,
        "one-less": int(limits.min) - 1,
        "huge": 10**400,
        "as-float": 1e300,
    }[past]
    _require_told(wire, value, names=lambda item: item.name == spec.name)


@pytest.mark.parametrize("bad", ["string", "true", "null", "list"])
def test_value_that_is_no_number_is_400_for_floats_too(wire: Wire, bad: str) -> None:
    _require_told(wire, BAD_NUMBERS[bad], names=lambda item: item.datatype in {"FP32", "FP64"})


def _require_told(wire: Wire, value: Any, *, names: Callable[[Any], bool]) -> None:
    """Put a value at the third place of an input and read where and what it was in the refusal."""
    place = next((number for number, item in enumerate(wire.inputs) if names(item)), None)
    arrays = wire.make_arrays()
    if place is None:
        pytest.skip("the model has no input of that type")
    name = wire.inputs[place].name
    index = min(2, arrays[name].size - 1)
    draft = wire.draft("json", arrays)
    draft.document["inputs"][place]["data"][index] = value
    message = require_error(wire.infer(draft), 400)
    # A number that JSON does not have is refused before anybody knows whose it is; a list is another nesting.
    if json.dumps(value) not in {"NaN", "Infinity"}:
        assert name in message
        assert isinstance(value, list) or str(index) in message


def test_data_beside_binary_data_is_400(wire: Wire) -> None:
    draft = wire.draft("binary", wire.make_arrays())
    draft.input["data"] = [0]
    require_error(wire.infer(draft), 400)


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("told", ["size", "bytes", "both"])
def test_binary_one_byte_short_or_long_is_400(wire: Wire, change: int, told: str) -> None:
    draft = wire.draft("binary", wire.make_arrays())
    if told in {"size", "both"}:
        draft.input["parameters"]["binary_data_size"] += change
    if told in {"bytes", "both"}:
        draft.tensors[0] = draft.tensors[0][:-1] if change < 0 else draft.tensors[0] + b"\x00"
    require_error(wire.infer(draft), 400)


@pytest.mark.parametrize("size", ["7", 1.5, -1, True, None, 2**63, 2**64])
def test_binary_size_that_is_no_size_is_400(wire: Wire, size: Any) -> None:
    draft = wire.draft("binary", wire.make_arrays())
    draft.input["parameters"]["binary_data_size"] = size
    require_error(wire.infer(draft), 400)


@pytest.mark.parametrize("length", ["99999", "-1", "abc", "1e2", "0x10", " ", "99999999999999999999", "10, 10", "+5"])
def test_header_length_that_is_none_is_400(wire: Wire, length: str) -> None:
    draft = wire.draft("binary", wire.make_arrays())
    draft.headers[HEADER_LENGTH] = length
    require_error(wire.infer(draft), 400)


@pytest.mark.parametrize("change", [-1, 1])
def test_header_length_that_cuts_elsewhere_is_400(wire: Wire, change: int) -> None:
    draft = wire.draft("binary", wire.make_arrays())
    draft.headers[HEADER_LENGTH] = str(len(json.dumps(draft.document)) + change)
    require_error(wire.infer(draft), 400)


def test_binary_data_without_the_header_is_400(wire: Wire) -> None:
    body = wire.draft("binary", wire.make_arrays()).encode()
    require_error(wire.ask("POST", f"{wire.path}/infer", body), 400)


@pytest.mark.parametrize("change", [-1, 1])
def test_raw_body_one_byte_short_or_long_is_400(wire: Wire, change: int) -> None:
    if len(wire.inputs) != 1:
        pytest.skip("the model has more than one input")
    (tensor,) = wire.draft("binary", wire.make_arrays()).tensors
    body = tensor[:-1] if change < 0 else tensor + b"\x00"
    require_error(wire.ask("POST", f"{wire.path}/infer", body, {HEADER_LENGTH: "0"}), 400)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("fault", ["not-compressed", "cut", "flipped", "empty"])
def test_corrupt_compression_is_400_and_told(wire: Wire, coding: str, fault: str) -> None:
    whole = wire.draft("json", wire.make_arrays()).encode()
    packed = gzip.compress(whole) if coding == "gzip" else zlib.compress(whole)
    body = {
        "not-compressed": whole,
        "cut": packed[: len(packed) // 2],
        "flipped": packed[:-6] + bytes([packed[-6] ^ 0xFF]) + packed[-5:],
        "empty": b"",
    }[fault]
    answer = wire.ask("POST", f"{wire.path}/infer", body, {"Content-Encoding": coding})
    if coding == "deflate" and answer.status == 415:
        pytest.skip("the server does not take deflate")
    message = require_error(answer, 400)
    assert fault == "empty" or "decompress" in message


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "x"])
def test_unknown_compression_is_415(wire: Wire, coding: str) -> None:
    body = wire.draft("json", wire.make_arrays()).encode()
    require_error(wire.ask("POST", f"{wire.path}/infer", body, {"Content-Encoding": coding}), 415)


@pytest.mark.parametrize("depth", [9, 50, 1000, 20_000])
def test_json_deeper_than_eight_is_400(wire: Wire, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    require_error(wire.ask("POST", f"{wire.path}/infer", f'{{"inputs": {nested}}}'.encode()), 400)


def test_shape_far_larger_than_the_data_allocates_nothing(wire: Wire) -> None:
    for form in FORMS:
        draft = wire.draft(form, wire.make_arrays())
        draft.input["shape"] = [2**31 - 1, *draft.input["shape"][1:]]
        require_error(wire.infer(draft), 400)


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_is_not_in_json(wire: Wire, form: str) -> None:
    if wire.ask("GET", "/v2/models/half").status != 200:
        pytest.skip("the server has no model `half` with an input of FP16")
    half = Wire.find(wire.url, "half")
    answer = half.infer(half.draft(form, half.make_arrays()))
    if form == "json":
        require_error(answer, 400)
    else:
        assert answer.status == 200
