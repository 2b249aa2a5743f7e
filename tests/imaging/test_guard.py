"""The guard: what it measures, what it lets pass and what it doubts, from the card and through the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from off_domain import blanks, letters, noise, pairs, textures
from PIL import Image
from predict_command import read_rows

from toolkit.card import Card, card_beside
from toolkit.data.load import load_mini
from toolkit.errors import ModelError
from toolkit.exporting.guard import LEAST_GUARD_IMAGES, calibrate_guard
from toolkit.imaging.guard import Guard, measure_logits, measure_pictures
from toolkit.imaging.settings import DOUBT
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.run import run_prediction
from toolkit.render.predictions import prediction_summary

MINI = load_mini()


@pytest.fixture(scope="module")
def card(model_path: Path) -> Card:
    return Card.loads(card_beside(model_path).read_bytes())


@pytest.fixture(scope="module")
def guard(card: Card) -> Guard:
    read = Guard.from_card(card.guard, classes=10)
    assert read is not None
    return read


@pytest.fixture(scope="module")
def session(model_path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])


def doubted(guard: Guard, session: onnxruntime.InferenceSession, pictures: np.ndarray) -> float:
    logits = session.run(["logits"], {"images": pictures})[0]
    return len(guard.judge(pictures, logits)) / len(pictures)


def test_blanks_noise_and_textures_are_doubted(guard: Guard, session: onnxruntime.InferenceSession) -> None:
    assert doubted(guard, session, blanks()) == 1
    assert doubted(guard, session, noise()) >= 0.99
    assert doubted(guard, session, textures()) >= 0.9


def test_what_the_model_is_for_is_not(guard: Guard, session: onnxruntime.InferenceSession) -> None:
    # A small training set gives loose estimates: the 1 % of the product's own recipes is benchmarks/guard.py's.
    assert doubted(guard, session, MINI.test.images) < 0.025


def test_letters_and_pairs_are_doubted_far_more_often(guard: Guard, session: onnxruntime.InferenceSession) -> None:
    # Two epochs on a small set: the 60 % promised of the recipes are benchmarks/guard.py's.
    assert doubted(guard, session, letters()) > 0.1
    assert doubted(guard, session, pairs(MINI.test.images)) > 0.25


def test_the_card_says_what_it_was_calibrated_on(card: Card) -> None:
    calibration = card.guard["calibration"]
    assert calibration["images"] == len(MINI.train) // 5
    assert 0 < calibration["doubted"] <= 0.01 * calibration["images"]
    assert len(json.dumps(card.guard)) < 3000


@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])).map(
            lambda shape: shape if shape[3] == 3 else shape[:3]
        ),
    )
)
def test_measures_are_what_their_definitions_say(pictures: np.ndarray) -> None:
    measured = measure_pictures(pictures)
    for place, picture in enumerate(pictures.astype(np.float64)):
        assert measured["brightness"][place] == pytest.approx(picture.mean(), abs=1e-4)
        assert measured["contrast"][place] == pytest.approx(picture.std(), abs=2e-2)
        inner = picture[2:-2, 2:-2] if min(picture.shape[:2]) > 4 else picture[:0]
        around = (picture.sum() - inner.sum()) / (picture.size - inner.size)
        assert measured["frame"][place] == pytest.approx(around, abs=1e-4)
        if picture.var() > 1:
            assert measured["roughness"][place] == pytest.approx(roughness(picture), abs=2e-3)


def roughness(picture: np.ndarray) -> float:
    apart = picture - picture.mean()
    products = [apart[1:] * apart[:-1], apart[:, 1:] * apart[:, :-1]]
    count = sum(product.size for product in products)
    return 1 - sum(product.sum() for product in products) / max(1, count) / picture.var()


def test_measures_do_not_depend_on_how_many_are_measured_at_once() -> None:
    whole = measure_pictures(MINI.test.images[:700])
    for name, values in measure_pictures(MINI.test.images[650:700]).items():
        assert np.array_equal(values, whole[name][650:])


def test_noise_is_rough_and_a_ramp_is_not() -> None:
    rng = np.random.default_rng(0)
    ramp = np.broadcast_to(np.linspace(0, 255, 28).astype(np.uint8), (1, 28, 28))
    assert measure_pictures(rng.integers(0, 256, (50, 28, 28)).astype(np.uint8))["roughness"].mean() > 0.95
    assert measure_pictures(ramp)["roughness"][0] < 0.1


def test_distances_are_mahalanobis() -> None:
    rng = np.random.default_rng(0)
    spread = np.array([[2.0, 0.0], [1.0, 0.5]])
    centres = np.array([[9.0, 0.0], [0.0, 9.0]])
    logits = centres[1] + rng.normal(size=(5, 2)) @ spread.T * 0.1
    inverse = np.linalg.inv(spread)
    expected = [np.sqrt((row - centres[1]) @ np.linalg.inv(spread @ spread.T) @ (row - centres[1])) for row in logits]
    assert measure_logits(logits, centres=centres, whitening=inverse)["distance"] == pytest.approx(np.array(expected))


@pytest.mark.parametrize("classes", [1, 2, 40])
def test_any_number_of_classes_is_calibrated(classes: int) -> None:
    rng = np.random.default_rng(classes)
    images = rng.integers(0, 256, (400, 12, 10, 3)).astype(np.uint8)
    logits = rng.normal(size=(400, classes)) + 8 * np.eye(classes)[np.arange(400) % classes]
    value = json.loads(json.dumps(calibrate_guard(images, logits, split="validation")))
    guard = Guard.from_card(value, classes=classes)
    assert guard is not None
    assert len(guard.judge(images, logits)) == value["calibration"]["doubted"] <= 8
    blank = np.full((1, 12, 10, 3), 128, np.uint8)
    assert guard.judge(blank, logits[:1])[0].startswith(f"{DOUBT}nothing to see")
    assert guard.judge(images[:1], np.zeros((1, classes)))[0].startswith(f"{DOUBT}unlike the training images")
    assert guard.judge(images[:0], logits[:0]) == {}


def test_too_few_images_calibrate_nothing() -> None:
    images = np.zeros((LEAST_GUARD_IMAGES - 1, 4, 4), np.uint8)
    assert calibrate_guard(images, np.zeros((LEAST_GUARD_IMAGES - 1, 3)), split="validation") == {}
    assert Guard.from_card({}, classes=3) is None


@pytest.mark.parametrize(
    "value",
    [
        {"limits": []},
        {"limits": {"brightness": [1]}},
        {"limits": {"brightness": ["dark", None]}},
        {"limits": {"charm": [0, 1]}},
        {"limits": {"distance": [None, 3]}},
        {"limits": {}, "centres": [[1.0]]},
        {"limits": {}, "centres": [[1.0, 2.0]], "whitening": [[1.0, 2.0]]},
        {"limits": {}, "centres": [[float("nan")] * 2] * 2, "whitening": [[0.0] * 2] * 2},
        {"thresholds": 3},
    ],
)
def test_a_guard_that_cannot_be_read_is_the_models_fault(value: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="guard"):
        Guard.from_card(value, classes=2)


def test_messages_and_counts(tmp_path: Path, model_path: Path) -> None:
    (tmp_path / "in").mkdir()
    drawings = {"blank": np.full((28, 28), 40, np.uint8), "digit": MINI.test.images[0], "noise": noise()[0]}
    two = np.hstack([np.kron(MINI.test.images[place], np.ones((4, 4), np.uint8)) for place in (0, 1)])
    for name, picture in {**drawings, "two": two}.items():
        Image.fromarray(picture).save(tmp_path / "in" / f"{name}.png")
    config = PredictionConfig(model=model_path, inputs=(tmp_path / "in",), output=tmp_path / "out.csv")
    report = run_prediction(config)
    rows = read_rows(tmp_path / "out.csv")
    messages = {Path(row["source"]).stem: row["message"] for row in rows}
    doubtful = {Path(row["source"]).stem: row["doubtful"] for row in rows}
    assert doubtful == {"digit": "false", "blank": "true", "noise": "true", "two": "true"}
    assert messages["digit"] == ""
    assert "doubtful: nothing to see" in messages["blank"]
    assert "doubtful: grain" in messages["noise"]
    assert "doubtful: 2 drawings side by side" in messages["two"]
    assert report.num_doubtful == json.loads(json.dumps(report.to_json()))["doubtful"] == 3
    assert "3 answers are doubtful" in "\n".join(line.plain for line in prediction_summary(report))
