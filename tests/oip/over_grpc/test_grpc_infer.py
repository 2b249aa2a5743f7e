"""Rows over gRPC about requests that are right: each is answered, in both forms, with the same values."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from oip.over_grpc.wire import GrpcWire
from oip.rows import oip, require_rows_in_order

pytestmark = oip
FORMS = ["raw", "contents"]


@pytest.mark.parametrize("form", FORMS)
def test_grpc_answer_names_the_model_and_echoes_the_id(wire: GrpcWire, form: str) -> None:
    told = wire.infer(wire.draft(form, wire.make_arrays(), id="a-1 \u00e9"))
    assert (told.model_name, told.id) == (wire.model, "a-1 \u00e9")
    assert told.model_version in {"", *wire.versions}


@pytest.mark.parametrize("form", FORMS)
def test_grpc_no_outputs_means_all_with_declared_types_and_sizes(wire: GrpcWire, form: str) -> None:
    told = wire.infer(wire.draft(form, wire.make_arrays(batch=wire.up_to(3))))
    assert [item.name for item in told.outputs] == [item.name for item in wire.outputs]
    assert len(told.raw_output_contents) == len(told.outputs)
    for item, spec in zip(told.outputs, wire.outputs, strict=True):
        assert item.datatype == spec.datatype
        assert all(want in {-1, seen} for want, seen in zip(spec.shape, item.shape, strict=True))


def test_grpc_raw_and_contents_answer_the_same_bits(wire: GrpcWire) -> None:
    arrays = wire.make_arrays(batch=wire.up_to(4), seed=1)
    raw, contents = (wire.infer_arrays(form, arrays) for form in FORMS)
    for name, array in raw.items():
        np.testing.assert_array_equal(array, contents[name])


@pytest.mark.parametrize("form", FORMS)
def test_grpc_rows_of_a_batch_are_answered_in_their_order(wire: GrpcWire, form: str) -> None:
    require_rows_in_order(wire, form)


@pytest.mark.parametrize("form", FORMS)
def test_grpc_only_the_outputs_asked_for_come(wire: GrpcWire, form: str) -> None:
    name, arrays = wire.outputs[-1].name, wire.make_arrays(seed=4)
    found = wire.infer_arrays(form, arrays, outputs=[{"name": name}])
    assert list(found) == [name]
    np.testing.assert_array_equal(found[name], wire.infer_arrays("raw", arrays)[name])


@pytest.mark.parametrize("form", FORMS)
def test_grpc_unknown_parameters_and_reserved_ones_are_taken(wire: GrpcWire, form: str) -> None:
    request = wire.draft(form, wire.make_arrays())
    request.parameters["colour"].string_param = "green"
    request.parameters["weight"].double_param = 1.5
    request.parameters["is_odd"].bool_param = True
    request.parameters["sequence_id"].uint64_param = 0
    request.parameters["timeout"].int64_param = 50_000_000
    request.inputs[0].parameters["origin"].string_param = "left"
    assert wire.infer(request).outputs


@pytest.mark.parametrize("form", FORMS)
def test_grpc_the_version_asked_for_is_the_one_that_answers(wire: GrpcWire, form: str) -> None:
    for version in wire.versions:
        told = wire.infer(wire.draft(form, wire.make_arrays(), model_version=version))
        assert told.model_version in {"", version}


def test_grpc_a_compressed_message_is_taken(wire: GrpcWire) -> None:
    request = wire.draft("raw", wire.make_arrays(batch=wire.up_to(8)))
    assert wire.infer(request, compression=grpc.Compression.Gzip).outputs


@pytest.mark.parametrize("count", [1, 3])
def test_grpc_classification_gives_score_index_and_label_of_the_best(wire: GrpcWire, count: int) -> None:
    if "classification" not in wire.extensions:
        pytest.skip("the server has no classification extension")
    spec = next((spec for spec in wire.outputs if spec.datatype == "FP32" and len(spec.shape) == 2), None)
    if spec is None:
        pytest.skip("the model has no FP32 output of one score for each class")
    arrays = wire.make_arrays(batch=wire.up_to(2), seed=7)
    scores = wire.infer_arrays("raw", arrays)[spec.name]
    asked = {"name": spec.name, "parameters": {"classification": {"int64_param": count}}}
    told = wire.infer_arrays("raw", arrays, outputs=[asked])[spec.name]
    assert told.shape == (len(scores), min(count, scores.shape[1]))
    for row, words in zip(scores, told, strict=True):
        best = np.argsort(-row, kind="stable")[:count]
        for index, word in zip(best, words, strict=True):
            score, place, *label = word.split(":", 2)
            assert int(place) == index
            assert float(score) == pytest.approx(float(row[index]), rel=1e-4, abs=1e-5)
            assert len(label) <= 1


def test_grpc_many_calls_at_once_on_one_channel_are_answered_each_with_its_own(wire: GrpcWire) -> None:
    asked = [wire.make_arrays(seed=seed) for seed in range(24)]
    drafts = [wire.draft("raw", arrays, id=str(number)) for number, arrays in enumerate(asked)]
    calls = [wire.stub.ModelInfer.future(draft, timeout=60) for draft in drafts]
    for number, call in enumerate(calls):
        answer, alone = call.result(), wire.infer(drafts[number])
        assert answer.id == str(number)
        for item, one, other in zip(wire.outputs, answer.raw_output_contents, alone.raw_output_contents, strict=True):
            if item.datatype == "FP32":
                np.testing.assert_allclose(np.frombuffer(one, "<f4"), np.frombuffer(other, "<f4"), rtol=1e-4, atol=1e-4)
            else:
                assert one == other
