"""Rows about requests that are right: each is answered, in every form, with the same values."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from oip.rows import FORMS, oip, require_error, require_rows_in_order
from oip.wire import HEADER_LENGTH, Wire, pack

pytestmark = oip


@pytest.mark.parametrize("form", FORMS)
def test_answer_names_the_model_and_echoes_the_id(wire: Wire, form: str) -> None:
    answer = wire.infer(wire.draft(form, wire.make_arrays(), id="a-1 \u00e9"))
    assert answer.status == 200
    told = answer.document
    assert told["model_name"] == wire.model
    assert isinstance(told.get("model_version", ""), str)
    assert told["id"] == "a-1 \u00e9"
    assert told.keys() <= {"model_name", "model_version", "id", "parameters", "outputs"}
    kind = "application/json" if form == "json" else "application/octet-stream"
    assert answer.headers["content-type"].startswith(kind)
    assert (HEADER_LENGTH.lower() in {name.lower() for name in answer.headers}) == (form == "binary")


@pytest.mark.parametrize("form", FORMS)
def test_no_outputs_means_all_with_declared_types_and_sizes(wire: Wire, form: str) -> None:
    answer = wire.infer(wire.draft(form, wire.make_arrays(batch=wire.up_to(3))))
    assert [item["name"] for item in answer.document["outputs"]] == [item.name for item in wire.outputs]
    for item, spec in zip(answer.document["outputs"], wire.outputs, strict=True):
        assert item["datatype"] == spec.datatype
        assert len(item["shape"]) == len(spec.shape)
        assert all(want in {-1, seen} for want, seen in zip(spec.shape, item["shape"], strict=True))
        assert (form == "json") == ("data" in item)
        assert answer.arrays[spec.name].shape == tuple(item["shape"])


def test_binary_and_json_answer_the_same_bits(wire: Wire) -> None:
    arrays = wire.make_arrays(batch=wire.up_to(4), seed=1)
    json_answer, binary_answer = (wire.infer_arrays(form, arrays) for form in FORMS)
    for name, array in json_answer.items():
        np.testing.assert_array_equal(array, binary_answer[name])


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_a_batch_are_answered_in_their_order(wire: Wire, form: str) -> None:
    require_rows_in_order(wire, form)


def test_nested_data_are_taken_as_flat_ones(wire: Wire) -> None:
    arrays = wire.make_arrays(batch=wire.up_to(2), seed=3)
    draft = wire.draft("json", arrays)
    for item in draft.document["inputs"]:
        item["data"] = arrays[item["name"]].tolist()
    nested = wire.infer(draft)
    assert nested.status == 200, nested.body
    for name, array in wire.infer_arrays("json", arrays).items():
        np.testing.assert_array_equal(array, nested.arrays[name])


@pytest.mark.parametrize("form", FORMS)
def test_only_the_outputs_asked_for_come(wire: Wire, form: str) -> None:
    name = wire.outputs[-1].name
    arrays = wire.infer_arrays(form, wire.make_arrays(seed=4), outputs=[{"name": name}])
    assert list(arrays) == [name]
    np.testing.assert_array_equal(arrays[name], wire.infer_arrays("json", wire.make_arrays(seed=4))[name])


@pytest.mark.parametrize("is_all", [True, False])
def test_each_output_may_say_whether_it_is_binary(wire: Wire, *, is_all: bool) -> None:
    """What an output says of itself is more than what the request says of all."""
    last = wire.outputs[-1].name
    others = [{"name": spec.name} for spec in wire.outputs[:-1]]
    document = {"outputs": [*others, {"name": last, "parameters": {"binary_data": not is_all}}]}
    draft = wire.draft("json", wire.make_arrays(seed=5), **document)
    draft.document["parameters"] = {"binary_data_output": is_all}
    answer = wire.infer(draft)
    assert answer.status == 200, answer.body
    forms = {item["name"]: "data" not in item for item in answer.document["outputs"]}
    assert forms == {**{item["name"]: is_all for item in others}, last: not is_all}
    for name, array in wire.infer_arrays("json", wire.make_arrays(seed=5)).items():
        np.testing.assert_array_equal(array, answer.arrays[name])


@pytest.mark.parametrize("form", FORMS)
def test_unknown_parameters_and_reserved_ones_are_taken(wire: Wire, form: str) -> None:
    parameters = {"colour": "green", "weight": 1.5, "is_odd": True, "sequence_id": 0, "timeout": 50_000_000}
    draft = wire.draft(form, wire.make_arrays(), parameters=parameters)
    draft.input.setdefault("parameters", {})["origin"] = "left"
    assert wire.infer(draft).status == 200


def test_raw_body_is_one_input_at_batch_one_with_binary_outputs(wire: Wire) -> None:
    """Header length 0: nothing but the bytes of the only input."""
    if len(wire.inputs) != 1:
        pytest.skip("the model has more than one input")
    (spec,), arrays = wire.inputs, wire.make_arrays(seed=6)
    answer = wire.ask("POST", f"{wire.path}/infer", pack(spec.datatype, arrays[spec.name]), {HEADER_LENGTH: "0"})
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("application/octet-stream")
    for name, array in wire.infer_arrays("binary", arrays).items():
        np.testing.assert_array_equal(array, answer.arrays[name])


@pytest.mark.parametrize("form", FORMS)
def test_a_version_in_the_path_is_the_one_that_answers(wire: Wire, form: str) -> None:
    draft = wire.draft(form, wire.make_arrays())
    answer = wire.ask("POST", f"{wire.path}/versions/{wire.versions[-1]}/infer", draft.encode(), draft.headers)
    assert answer.status == 200
    assert answer.document.get("model_version", wire.versions[-1]) == wire.versions[-1]


def test_a_compressed_body_is_taken(wire: Wire) -> None:
    body = gzip.compress(wire.draft("json", wire.make_arrays()).encode())
    assert wire.ask("POST", f"{wire.path}/infer", body, {"Content-Encoding": "gzip"}).status == 200


def test_answers_are_not_compressed_unless_asked_for(wire: Wire) -> None:
    answer = wire.infer(wire.draft("json", wire.make_arrays()))
    assert "content-encoding" not in {name.lower() for name in answer.headers}
    json.loads(answer.body)


@pytest.mark.parametrize("form", ["json", "binary"])
@pytest.mark.parametrize("count", [1, 3])
def test_classification_gives_score_index_and_label_of_the_best(wire: Wire, form: str, count: int) -> None:
    if "classification" not in wire.extensions:
        pytest.skip("the server has no classification extension")
    spec = next((spec for spec in wire.outputs if spec.datatype == "FP32" and len(spec.shape) == 2), None)
    if spec is None:
        pytest.skip("the model has no FP32 output of one score for each class")
    arrays, asked = wire.make_arrays(batch=wire.up_to(2), seed=7), [{"name": spec.name}]
    scores = wire.infer_arrays("json", arrays, outputs=asked)[spec.name]
    asked[0]["parameters"] = {"classification": count}  # type: ignore[assignment]
    told = wire.infer_arrays(form, arrays, outputs=asked)[spec.name]
    assert told.shape == (len(scores), min(count, scores.shape[1]))
    for row, words in zip(scores, told, strict=True):
        best = np.argsort(-row, kind="stable")[:count]
        for index, word in zip(best, words, strict=True):
            score, place, *label = word.split(":", 2)
            assert int(place) == index
            assert float(score) == pytest.approx(float(row[index]), rel=1e-4, abs=1e-5)
            assert len(label) <= 1


@pytest.mark.parametrize("count", [-1, "2", True, 1.5])
def test_classification_of_no_number_of_classes_is_400(wire: Wire, count: object) -> None:
    if "classification" not in wire.extensions:
        pytest.skip("the server has no classification extension")
    outputs = [{"name": wire.outputs[0].name, "parameters": {"classification": count}}]
    require_error(wire.infer(wire.draft("json", wire.make_arrays(), outputs=outputs)), 400)


def test_a_kept_connection_serves_one_request_after_another(wire: Wire) -> None:
    with wire.connect() as connection:
        for number in range(5):
            draft = wire.draft(FORMS[number % 2], wire.make_arrays(seed=number), id=str(number))
            connection.request("POST", f"{wire.path}/infer", draft.encode(), draft.headers)
            answer = connection.getresponse()
            assert answer.status == 200
            assert f'"{number}"'.encode() in answer.read()
