"""The library: one class, arrays, paths and PIL images in, answers out."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from imaging_samples import encode
from machine import skip_where_cuda_works
from PIL import Image
from predict_command import read_rows

import toolkit
from toolkit import Classifier
from toolkit.data.load import load_mini
from toolkit.errors import DataError, ModelError, ProviderError, UsageError
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.run import run_prediction

IMAGES = load_mini().test.images[:150]


@pytest.fixture(scope="module")
def classifier(model_path: Path) -> Classifier:
    return Classifier(model_path)


def test_answers_are_those_of_the_command(classifier: Classifier, model_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    config = PredictionConfig(model=model_path, inputs=(tmp_path / "images.npy",), output=tmp_path / "rows.csv")
    run_prediction(config)
    rows = read_rows(tmp_path / "rows.csv")
    prediction = classifier.predict(IMAGES)
    assert len(prediction) == len(rows) == 150
    assert prediction.labels == tuple(row["label"] for row in rows)
    assert prediction.probability == pytest.approx([float(row["probability"]) for row in rows], abs=1e-6)
    assert prediction.margin == pytest.approx([float(row["margin"]) for row in rows], abs=1e-4)
    assert prediction.messages == tuple(row["message"] for row in rows)


def test_shapes_and_types(classifier: Classifier) -> None:
    prediction = classifier.predict(IMAGES[:3])
    assert prediction.classes == classifier.classes == tuple("0123456789")
    assert (prediction.class_indices.shape, prediction.class_indices.dtype) == ((3,), np.int64)
    assert (prediction.probabilities.shape, prediction.probabilities.dtype) == ((3, 10), np.float32)
    assert (prediction.probability.dtype, prediction.margin.dtype) == (np.float32, np.float64)
    assert prediction.probabilities.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert np.array_equal(prediction.probability, prediction.probabilities.max(axis=1))
    assert (prediction.provider, prediction.fallback, classifier.provider) == ("cpu", False, "cpu")
    assert classifier.card.input.shape == (28, 28)


def test_every_way_to_give_an_image_gives_its_answer(classifier: Classifier, tmp_path: Path) -> None:
    image = IMAGES[0]
    (tmp_path / "a.png").write_bytes(encode(image))
    rgb = np.repeat(image[..., np.newaxis], 3, axis=2)
    ways = [
        image,
        image[np.newaxis],
        image[np.newaxis, ..., np.newaxis],
        image.astype(np.float64),
        image.astype(np.int32),
        rgb,
        rgb[np.newaxis],
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        encode(image),
        Image.fromarray(image),
        Image.fromarray(rgb),
    ]
    expected = classifier.predict(image)
    for way in ways:
        prediction = classifier.predict(way)
        assert prediction.labels == expected.labels
        assert np.array_equal(prediction.probabilities, expected.probabilities)
    together = classifier.predict([way for way in ways if not (isinstance(way, np.ndarray) and len(way) == 1)])
    assert set(together.labels) == set(expected.labels)
    assert len(together) == 9


def test_pictures_of_other_sizes_are_brought_to_the_model(classifier: Classifier) -> None:
    large = 255 - np.pad(np.kron(IMAGES[0], np.ones((5, 5), np.uint8)), 40)
    prediction = classifier.predict([large, IMAGES[0], Image.fromarray(large)])
    assert len(set(prediction.labels)) == 1
    assert prediction.messages[0] == prediction.messages[2] == "inverted: dark on light; fitted 220x220 -> 28x28"
    assert prediction.messages[1] == ""


def test_notes_of_a_pil_image_come_first(classifier: Classifier) -> None:
    image = Image.fromarray(IMAGES[0]).convert("LA")
    image.putalpha(200)
    assert "transparen" in classifier.predict([IMAGES[1], image]).messages[1]


def test_nothing_gives_nothing(classifier: Classifier) -> None:
    for nothing in ([], np.zeros((0, 28, 28), np.uint8)):
        prediction = classifier.predict(nothing)
        assert (len(prediction), prediction.probabilities.shape) == (0, (0, 10))


def test_an_image_that_cannot_be_used_is_an_error_or_a_row(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    given = [IMAGES[0], tmp_path / "broken.png", tmp_path / "gone.png"]
    with pytest.raises(DataError, match=r"2 of 3 images have no prediction; the first: .*broken.png"):
        classifier.predict(given)
    kept = classifier.predict(given, on_error="keep")
    assert kept.labels[1:] == ("", "")
    assert kept.class_indices.tolist()[1:] == [-1, -1]
    assert np.isnan(kept.probabilities[1:]).all()
    assert np.isnan(kept.margin[1:]).all()
    assert "gone.png" in kept.messages[2]


@pytest.mark.parametrize(
    ("images", "error", "said"),
    [
        (IMAGES[0] / 255, DataError, "between 0 and 1"),
        (np.zeros((2, 5, 6, 7)), DataError, r"shape \[2, 5, 6, 7\]; the model takes \[28, 28\]"),
        (np.array(["a"]), DataError, "expected uint8"),
        (3, UsageError, "of type int"),
        ([None], UsageError, r"images\[0\] is of type NoneType"),
        ([IMAGES[:2]], DataError, "which is 2 images; in a sequence each array is one image"),
    ],
)
def test_what_is_no_image_is_said(classifier: Classifier, images: object, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        classifier.predict(images)  # type: ignore[arg-type]


def test_wishes_that_nobody_knows_are_refused(model_path: Path, classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        Classifier(model_path, fit="mnits")
    with pytest.raises(UsageError, match="unknown on_error"):
        classifier.predict(IMAGES[:1], on_error="ignore")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        Classifier(model_path, provider="gpu")
    with pytest.raises(ModelError):
        Classifier(tmp_path / "none.onnx")


def test_a_provider_that_is_not_active_is_an_error(model_path: Path) -> None:
    skip_where_cuda_works()
    with pytest.raises(ProviderError, match="cuda"):
        Classifier(model_path, provider="cuda")
    fallen = Classifier(model_path, provider="cuda", allow_fallback=True).predict(IMAGES[:2])
    assert (fallen.provider, fallen.fallback) == ("cpu", True)


def test_threads_may_share_one(classifier: Classifier) -> None:
    expected = classifier.predict(IMAGES)
    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(classifier.predict, IMAGES[start : start + 30]) for start in [*range(0, 120, 5)] * 4]
        for start, future in zip([*range(0, 120, 5)] * 4, futures, strict=True):
            assert np.array_equal(future.result().probabilities, expected.probabilities[start : start + 30])


@pytest.mark.parametrize("runtime", ["openvino", "onnx-none"])
def test_other_engines(model_path: Path, classifier: Classifier, runtime: str) -> None:
    if runtime == "onnx-none":
        with pytest.raises(UsageError, match="runtime"):
            Classifier(model_path, runtime=runtime)
        return
    pytest.importorskip("openvino")
    with Classifier(model_path, runtime=runtime) as other, ThreadPoolExecutor(4) as threads:
        assert other.predict(IMAGES).labels == classifier.predict(IMAGES).labels
        parts = list(threads.map(other.predict, [IMAGES[place : place + 7] for place in range(0, 140, 7)]))
        assert sum((part.labels for part in parts), ()) == classifier.predict(IMAGES[:140]).labels


def test_it_says_which_answers_are_doubtful_and_why(model_path: Path) -> None:
    two = np.hstack([np.kron(IMAGES[place], np.ones((4, 4), np.uint8)) for place in (0, 1)])
    with Classifier(model_path) as classifier:
        told = classifier.predict([IMAGES[0], np.zeros((28, 28), np.uint8), two, b"no picture"], on_error="keep")
    assert told.doubtful.tolist() == [False, True, True, False]
    assert told.reasons[0] == told.reasons[3] == ""
    assert told.reasons[1].startswith("nothing to see: contrast 0.0")
    assert told.reasons[2].startswith("2 drawings side by side")


def test_it_needs_numpy_and_onnxruntime_only(model_path: Path) -> None:
    """With everything else blocked."""
    program = f"""
import sys
allowed = {{"numpy", "onnxruntime", "toolkit"}}
class Blocked:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in {{"PIL", "onnx", "torch", "typer", "rich", "click", "matplotlib", "scipy", "safetensors", "filelock",
                    "pyarrow", "ml_dtypes", "google"}}:
            raise ImportError(f"{{name}} is blocked")
sys.meta_path.insert(0, Blocked())
import numpy
from toolkit import Classifier
prediction = Classifier({str(model_path)!r}).predict(numpy.zeros((3, 28, 28), numpy.uint8))
assert len(prediction) == 3 and prediction.messages[0].startswith("doubtful"), prediction
print("answered")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "answered\n", done.stderr


def test_the_package_gives_it_when_asked_for() -> None:
    assert toolkit.Classifier is Classifier
    with pytest.raises(AttributeError, match="no attribute 'Classifer'"):
        _ = toolkit.Classifer
    code = "import sys, toolkit; assert not [m for m in sys.modules if m.startswith('numpy')]; print('lean')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "lean\n"


def test_a_pickled_classifier_opens_the_same_file_with_the_same_arguments(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(model_path.read_bytes())
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    with Classifier("model.onnx", threads=1, polarity="light-on-dark") as first:
        data, labels = pickle.dumps(first), first.predict(images).labels
    assert len(data) < 2_000  # neither the model nor the engine
    monkeypatch.chdir("/")
    with pickle.loads(data) as second:
        assert second.predict(images).labels == labels
        assert pickle.dumps(second) == data


def test_a_pickled_classifier_refuses_a_file_that_changed_or_is_gone(model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_path.read_bytes())
    with Classifier(path) as classifier:
        data = pickle.dumps(classifier)
    with pytest.raises(UsageError, match="closed, so it cannot be pickled"):
        pickle.dumps(classifier)
    path.write_bytes(model_path.read_bytes() + b"\x00")
    with pytest.raises(ModelError, match=r"model\.onnx is not the one that was pickled: its SHA-256 is .* expected "):
        pickle.loads(data)
    path.unlink()
    with pytest.raises(ModelError, match="a pickled Classifier cannot be opened here: cannot read the model"):
        pickle.loads(data)


def test_answers_can_be_indexed_iterated_and_cut(model_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    with Classifier(model_path) as classifier:
        answers = classifier.predict([*images, b"no picture"], on_error="keep")
    assert len(answers) == 6
    assert [answer.label for answer in answers] == list(answers.labels)
    first, last = answers[0], answers[np.int64(-1)]
    assert (first.label, first.probability) == (answers.labels[0], float(answers.probability[0]))
    assert (first.margin, first.doubtful, first.reason) == (
        float(answers.margin[0]),
        bool(answers.doubtful[0]),
        answers.reasons[0],
    )
    assert (last.label, last.class_index, last.source) == ("", -1, "images[5]")
    assert last.message
    assert last.message[:60] in repr(answers)
    part = answers[1:3]
    assert (part.labels, part.classes, len(part)) == (answers.labels[1:3], answers.classes, 2)
    assert part.probabilities.shape == (2, 10)
    assert len(answers[6:]) == 0
    with pytest.raises(IndexError, match="answer 6 of 6 answers"):
        answers[6]
    with pytest.raises(TypeError):
        answers["label"]  # type: ignore[call-overload]  # that it is no table
