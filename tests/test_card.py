"""The card survives the way through JSON and refuses what does not follow its schema."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.card import Card, Golden, InputSpec
from toolkit.errors import ModelError

FINITE = st.floats(-1e6, 1e6)


def make_card(**changes: object) -> Card:
    golden = Golden(
        origin="data", images=bytes(range(8)), shape=(2, 2, 2), logits=((1.0, 2.0), (0.5, -1.0)), tolerance=1e-4
    )
    values: dict[str, object] = {
        "name": "tiny",
        "classes": ("cat", "dog"),
        "input": InputSpec(height=2, width=2, channels=1),
        "standardisation": {"std": 1.0},
        "precision": "fp32",
        "network": {"parameters": 3},
        "recipe": {"name": "fast"},
        "data": {"name": "tiny", "sha256": "00"},
        "checkpoint_sha256": "11",
        "bound": {"logits": 1e-4, "formula": "x"},
        "golden": golden,
        "minimum": {"opset": 18},
        "versions": {"toolkit": "0"},
        "author": "a",
        "licence": "b",
    }
    return Card(**{**values, **changes})  # type: ignore[arg-type]


def normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@given(
    names=st.lists(st.text(min_size=1, max_size=8).map(normal), min_size=1, max_size=5, unique=True),
    pixels=st.binary(min_size=12, max_size=12),
    logits=st.lists(st.tuples(FINITE, FINITE), min_size=3, max_size=3),
    split=st.sampled_from([None, "validation", "training"]),
)
def test_round_trip_gives_the_same_card(
    names: list[str], pixels: bytes, logits: list[tuple[float, float]], split: str | None
) -> None:
    golden = Golden(origin="data", images=pixels, shape=(3, 2, 2), logits=tuple(logits), tolerance=0.5, split=split)
    card = make_card(classes=tuple(names), golden=golden)
    assert ('"split"' in card.dumps()) is (split is not None)  # cards of earlier versions have none
    assert Card.loads(card.dumps()) == card
    assert Card.loads(card.dumps()).dumps() == card.dumps()


def test_class_names_are_kept_in_one_form_and_once() -> None:
    card = make_card(classes=("cafe\u0301", "tea"))
    assert card.classes == Card.loads(card.dumps()).classes == ("caf\u00e9", "tea")
    with pytest.raises(ModelError, match="names repeat"):
        make_card(classes=("cafe\u0301", "caf\u00e9"))


def test_a_card_without_golden_vectors_round_trips() -> None:
    card = make_card(golden=None)
    assert Card.loads(card.dumps()) == card


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "toolkit/card/2"},
        {"classes": []},
        {"classes": None},
        {"unknown": 1},
        {"input": {"height": 0, "width": 2, "channels": 1}},
        {"input": {"height": 2, "width": 2, "channels": 2}},
        {"golden": {"origin": "data", "images": "AAAA", "shape": [2, 2, 2], "logits": [[1], [2]], "tolerance": 1}},
        {"golden": {"origin": "data", "images": "!", "shape": [0], "logits": [], "tolerance": 1}},
        {"golden": {"origin": "data", "images": "", "shape": [0, 2, 2], "logits": [], "tolerance": 0}},
        {"golden": {}},
    ],
)
def test_a_card_that_breaks_the_schema_is_a_model_error(change: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        Card.loads(json.dumps({**make_card().to_json(), **change}))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "3", '"x"'])
def test_text_that_is_no_card_is_a_model_error(text: str) -> None:
    with pytest.raises(ModelError):
        Card.loads(text)


def test_a_missing_key_is_a_model_error() -> None:
    value = make_card().to_json()
    del value["classes"]
    with pytest.raises(ModelError):
        Card.loads(json.dumps(value))


def test_the_schema_stands_first_and_nothing_is_a_time() -> None:
    value = make_card().to_json()
    assert next(iter(value)) == "schema"
    assert not {"time", "date", "created", "timestamp"} & set(value)


LIES: list[tuple[dict[str, object], str]] = [
    ({"network": [1]}, "'network' is of type list"),
    ({"data": "mnist"}, "'data' is of type str"),
    ({"name": 7}, "'name' is of type int"),
    ({"checkpoint_sha256": 5}, "'checkpoint_sha256' is of type int"),
    ({"precision": "fp3"}, "precision is 'fp3'"),
    ({"bound": {"logits": -1.0}}, "bound is -1.0"),
    ({"test_accuracy": {"value": 1.0}}, "accuracy is incomplete"),
    ({"test_accuracy": "all right"}, "accuracy is incomplete"),
    ({"test_accuracy": {"value": 1, "correct": 1, "count": 1, "ci95": [0]}}, "accuracy is incomplete"),
]


@pytest.mark.parametrize(("change", "message"), LIES)
def test_values_of_another_kind_are_refused(change: dict[str, object], message: str) -> None:
    text = json.dumps({**make_card().to_json(), **change})
    with pytest.raises(ModelError, match=message):
        Card.loads(text)


@pytest.mark.parametrize("change", [{"tolerance": float("inf")}, {"shape": [0, 2, 2], "images": "", "logits": []}])
def test_golden_vectors_that_could_not_fail_are_refused(change: dict[str, object]) -> None:
    value = make_card().to_json()
    with pytest.raises(ModelError, match="golden vectors hold"):
        Card.loads(json.dumps({**value, "golden": {**value["golden"], **change}}))


def test_a_card_of_brackets_is_no_json() -> None:
    with pytest.raises(ModelError, match="not JSON"):
        Card.loads("[" * 100_000)
