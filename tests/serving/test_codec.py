"""The protocol's table of answers, as far as bytes alone decide: what is taken exactly, and what is refused with words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from toolkit.onnx_file.element_types import TensorSpec
from toolkit.serving.codec.json_request import read_request
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.reply import write_reply
from toolkit.serving.codec.request import InferRequest, ServedTensors, WantedOutput
from toolkit.serving.codec.tensors import DATATYPES, from_json, from_raw, to_json, to_raw

IMAGES = TensorSpec(name="images", dtype="uint8", shape=("batch", 2, 2))
PICTURES = ServedTensors(
    inputs={"images": IMAGES},
    outputs={
        "logits": TensorSpec(name="logits", dtype="float32", shape=("batch", 3)),
        "label": TensorSpec(name="label", dtype="int64", shape=("batch",)),
        "half": TensorSpec(name="half", dtype="float16", shape=("batch", 3)),
    },
    largest=4,
)
TENSOR = {"name": "images", "shape": [1, 2, 2], "datatype": "UINT8", "data": [1, 2, 3, 4]}
WANTED = [{"name": "logits"}]


def read(told: Any, *, blocks: bytes | None = None, tensors: ServedTensors = PICTURES) -> InferRequest:
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return read_request(text + (blocks or b""), tensors, header_length=None if blocks is None else len(text))


def tensor(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{**TENSOR, **changes}], "outputs": WANTED}


def test_a_request_is_read_flat_nested_binary_and_raw() -> None:
    expected = np.array([[[1, 2], [3, 4]]], np.uint8)
    flat = read({**tensor(), "id": "7", "parameters": {"timeout": 5, "color": "red"}})
    assert (flat.id, flat.rows, flat.timeout_us, flat.outputs) == ("7", 1, 5, (WantedOutput("logits", False, 0),))
    nested = read(tensor(data=[[[1, 2], [3, 4]]]))
    without = {key: value for key, value in TENSOR.items() if key != "data"}
    binary = read(
        {"inputs": [{**without, "parameters": {"binary_data_size": 4}}], "outputs": WANTED}, blocks=b"\1\2\3\4"
    )
    raw = read_request(b"\1\2\3\4", PICTURES, header_length=0)
    for request in (flat, nested, binary, raw):
        np.testing.assert_array_equal(request.feeds["images"], expected)
        assert request.feeds["images"].dtype == np.uint8
    assert [output.binary for output in raw.outputs] == [True, True, True]
    everything = {"inputs": [TENSOR], "parameters": {"binary_data_output": True}}
    assert [output.name for output in read(everything).outputs] == ["logits", "label", "half"]


REFUSED = {
    "256": (tensor(data=[1, 2, 256, 4]), "input 'images', element 2 is 256; expected a whole number from 0 to 255"),
    "-1": (tensor(data=[1, 2, 3, -1]), "element 3 is -1"),
    "3.7": (tensor(data=[1, 3.7, 3, 4]), "element 1 is 3.7"),
    "text": (tensor(data=[1, "3", 3, 4]), "element 1 is of JSON type string"),
    "true": (tensor(data=[1, True, 3, 4]), "element 1 is True"),
    "null": (tensor(data=[1, None, 3, 4]), "element 1 is of JSON type null"),
    "NaN": (b'{"inputs":[{"name":"images","shape":[1,2,2],"datatype":"UINT8","data":[1,NaN,3,4]}]}', "it holds NaN"),
    "huge": (tensor(data=[1, 2**70, 3, 4]), "element 1 is 1180591620717411303424"),
    "too short": (tensor(data=[1, 2, 3]), r"has 3 elements; shape \[1, 2, 2\] needs 4"),
    "too long": (tensor(data=[1, 2, 3, 4, 5]), "has 5 elements"),
    "badly nested": (tensor(data=[[[1, 2], [3]]]), "not nested as its shape"),
    "no data": (tensor(data=None), "data of JSON type null; expected a list"),
    "not JSON": (b"nothing", "is not JSON: Expecting value"),
    "not text": (b"\xff\xfe\x00", "is not JSON"),
    "an empty object": ({}, "the request's inputs are no list of objects"),
    "no object": (b"[1]", "is not a JSON object"),
    "no inputs": ({"inputs": []}, "has no inputs; the model takes images"),
    "deep": (b'{"a":' + b"[" * 100_000, "nested more than 8 deep"),
    "deep in objects": (b'{"a":' * 9 + b"1" + b"}" * 9, "nested more than 8 deep"),
    "a key twice": (b'{"inputs":[],"inputs":[]}', "the key 'inputs' twice"),
    "a long number": (b'{"inputs":' + b"1" * 5000 + b"}", "is not JSON"),
    "id": ({**tensor(), "id": 7}, "id is '7'; expected a string"),
    "half a character": ({**tensor(), "id": "\ud800"}, "expected a string of whole characters"),
    "UTF-16": (json.dumps(tensor()).encode("utf-16"), "is not JSON"),
    "priority": ({**tensor(), "parameters": {"priority": "x"}}, "priority 'x'; expected a whole number of 0 or more"),
    "timeout": ({**tensor(), "parameters": {"timeout": -5}}, "timeout '-5'"),
    "an object as parameter": ({**tensor(), "parameters": {"a": {}}}, "no string, number or boolean"),
    "parameters": ({**tensor(), "parameters": 3}, "parameters that are no object"),
    "triton_": ({**tensor(), "parameters": {"triton_x": 1}}, "are reserved"),
    "a name": (tensor(name="pictures"), "input 'pictures' is unknown; the model takes images"),
    "a name of another type": (tensor(name=["images"]), "is unknown"),
    "a name twice": ({"inputs": [TENSOR, TENSOR]}, "input 'images' is given twice"),
    "another datatype": (tensor(datatype="FP32"), "datatype 'FP32'; expected 'UINT8'"),
    "no datatype": (tensor(datatype=None), "datatype 'None'"),
    "shape -1": (tensor(shape=[-1, 2, 2]), "expected a list of sizes"),
    "shape 2^63": (tensor(shape=[2**63, 2, 2]), "expected a list of sizes"),
    "shape of another rank": (tensor(shape=[1, 4]), r"the model takes \[-1, 2, 2\]"),
    "another shape": (tensor(shape=[1, 2, 3]), "the model takes"),
    "batch 0": (tensor(shape=[0, 2, 2], data=[]), "batch of 0; expected 1 to 4"),
    "a batch too large": (tensor(shape=[5, 2, 2], data=[0] * 20), "batch of 5; expected 1 to 4"),
    "output": ({**tensor(), "outputs": [{"name": "x"}]}, "output 'x' is unknown; the model gives logits, label, half"),
    "output twice": ({**tensor(), "outputs": WANTED * 2}, "output 'logits' is asked for twice"),
    "half in JSON": ({**tensor(), "outputs": [{"name": "half"}]}, "FP16, which JSON cannot carry"),
    "classes of labels": (
        {**tensor(), "outputs": [{"name": "label", "parameters": {"classification": 2}}]},
        "of which there are no classes",
    ),
    "binary asked for in a word": (
        {**tensor(), "outputs": [{"name": "logits", "parameters": {"binary_data": "yes"}}]},
        "binary_data 'yes'; expected true or false",
    ),
}


@pytest.mark.parametrize(("told", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_request_is_refused_with_what_was_seen_and_expected(told: Any, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as refused:
        read(told)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("size", "blocks", "words"),
    [
        (4, b"\1\2\3", "binary_data_size 4 and the body has 3 bytes left"),
        (3, b"\1\2\3", r"has 3 bytes of binary data; UINT8 \[1, 2, 2\] needs 4"),
        (4, b"\1\2\3\4\5", "the body has 1 bytes more"),
        ("4", b"\1\2\3\4", "binary_data_size '4'"),
    ],
)
def test_binary_data_is_as_long_as_it_says(size: Any, blocks: bytes, words: str) -> None:
    told = {"name": "images", "shape": [1, 2, 2], "datatype": "UINT8", "parameters": {"binary_data_size": size}}
    with pytest.raises(RefusedError, match=words):
        read({"inputs": [told], "outputs": WANTED}, blocks=blocks)
    with pytest.raises(RefusedError, match="Inference-Header-Content-Length is 99999; the body has 2 bytes"):
        read_request(b"{}", PICTURES, header_length=99999)
    with pytest.raises(RefusedError, match="data besides"):
        read({"inputs": [{**told, "data": [], "parameters": {"binary_data_size": 4}}]}, blocks=b"\1\2\3\4")


def test_the_same_words_about_other_bytes_and_of_another_model_are_another_request() -> None:
    told = {"name": "images", "shape": [1, 2, 2], "datatype": "UINT8", "parameters": {"binary_data_size": 4}}
    request = {"inputs": [told], "outputs": WANTED}
    first, second = read(request, blocks=b"\1\2\3\4"), read(request, blocks=b"\5\6\7\x08")
    assert (first.feeds["images"].tolist(), second.feeds["images"].tolist()) == ([[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]])
    with pytest.raises(RefusedError, match="the body has 3 bytes left"):
        read(request, blocks=b"\5\6\7")
    other = ServedTensors(inputs=PICTURES.inputs, outputs={"label": PICTURES.outputs["label"]}, largest=4)
    with pytest.raises(RefusedError, match="output 'logits' is unknown"):
        read(request, blocks=b"\1\2\3\4", tensors=other)


@given(
    array=st.sampled_from([np.uint8, np.int16, np.int64, np.uint64, np.float32, np.float64, np.bool_]).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(max_dims=3, max_side=4),
            elements=None if np.dtype(dtype).kind != "f" else {"allow_nan": False, "allow_infinity": False},
        )
    )
)
def test_every_number_comes_back_exactly_by_both_ways(array: np.ndarray) -> None:
    flat = json.loads(json.dumps(to_json(array, name="x")))
    for way in (
        from_json(flat, array.shape, dtype=array.dtype, name="x"),
        from_json(json.loads(json.dumps(array.tolist())), array.shape, dtype=array.dtype, name="x"),
        from_raw(memoryview(to_raw(array)), array.shape, dtype=array.dtype, name="x"),
    ):
        np.testing.assert_array_equal(way, array)
        assert way.dtype == array.dtype
    assert DATATYPES[array.dtype.name]


@given(texts=st.lists(st.text().filter(lambda text: not text.endswith("\0")), min_size=1, max_size=5))
def test_strings_come_back_by_both_ways(texts: list[str]) -> None:
    array = np.array(texts)
    shape, dtype = (len(texts),), np.dtype(np.str_)
    assert from_json(texts, shape, dtype=dtype, name="x").tolist() == texts
    assert from_raw(memoryview(to_raw(array)), shape, dtype=dtype, name="x").tolist() == texts


@pytest.mark.parametrize("data", [b"\5\0\0\0ab", b"\1\0\0", b"\1\0\0\0\xff", b"\1\0\0\0a\1\0\0\0b", b""])
def test_strings_that_are_cut_off_are_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match="input 'x'"):
        from_raw(memoryview(data), (1,), dtype=np.dtype(np.str_), name="x")


@pytest.mark.parametrize("text", ["a\0", "\ud800"])
def test_strings_that_numpy_or_utf8_cannot_hold_are_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="element 1"):
        from_json(["a", text], (2,), dtype=np.dtype(np.str_), name="x")


@pytest.mark.parametrize("value", [1e39, 10**400, -1e39])
def test_a_number_past_its_type_is_refused(value: float) -> None:
    with pytest.raises(RefusedError, match=r"element 1 is .*expected a number from -3\.4"):
        from_json([0, value], (2,), dtype=np.dtype(np.float32), name="x")


def test_classes_are_named_the_likeliest_first() -> None:
    told = {**tensor(), "outputs": [{"name": "logits", "parameters": {"classification": 2}}]}
    values = {"logits": np.array([[0.25, 2.5, -1.0]], np.float32)}
    reply = write_reply(read(told), values, head={"model_name": "m"}, classes=("cat", "dog", "owl"))
    output = json.loads(reply.body)["outputs"][0]
    assert (output["datatype"], output["shape"], output["data"]) == ("BYTES", [1, 2], ["2.5:1:dog", "0.25:0:cat"])


def test_an_answer_that_json_cannot_carry_is_refused_and_comes_in_binary() -> None:
    values = {"logits": np.array([[np.nan, 1, 2]], np.float32)}
    with pytest.raises(RefusedError, match="holds NaN or infinity"):
        write_reply(read(tensor()), values, head={})
    told = {**tensor(), "outputs": [{"name": "logits", "parameters": {"binary_data": True}}]}
    assert write_reply(read(told), values, head={}).body.endswith(values["logits"].tobytes())


@given(body=st.binary(max_size=200), length=st.one_of(st.none(), st.integers(0, 220)))
def test_any_bytes_are_a_request_or_refused(body: bytes, length: int | None) -> None:
    try:
        read_request(body, PICTURES, header_length=length)
    except RefusedError as error:
        assert 400 <= error.status < 500  # noqa: PT017 - both ends are right
