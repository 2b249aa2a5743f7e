"""Everything that a program may hold of a picture: arrays of every shape, bytes, open files, PIL images of every mode."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from idx_files import encode_idx
from imaging_samples import encode
from PIL import Image
from predict_command import read_rows

from toolkit import Classifier
from toolkit.data.load import load_mini
from toolkit.errors import DataError, UsageError
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.run import run_prediction

IMAGES = load_mini().test.images[:20]
RGBA = np.dstack([np.full((28, 28, 3), 255, np.uint8), IMAGES[0]])


@pytest.fixture(scope="module")
def classifier(model_path: Path) -> Classifier:
    return Classifier(model_path)


SHAPES: list[tuple[np.ndarray, int]] = [
    (IMAGES[0], 1),
    (IMAGES[0].ravel(), 1),
    (IMAGES[0][..., np.newaxis], 1),
    (np.repeat(IMAGES[0][..., np.newaxis], 3, axis=2), 1),
    (RGBA, 1),
    (IMAGES, 20),
    (IMAGES.reshape(20, 784), 20),
    (IMAGES[:, np.newaxis], 20),
    (IMAGES[..., np.newaxis], 20),
    (IMAGES[:3], 3),
    (np.concatenate([IMAGES, IMAGES[:8]]), 28),
    (np.repeat(IMAGES[:, np.newaxis], 3, axis=1), 20),
]


@pytest.mark.parametrize(("array", "count"), SHAPES, ids=[str(array.shape) for array, _ in SHAPES])
def test_the_library_and_the_command_count_every_shape_alike(
    classifier: Classifier, model_path: Path, tmp_path: Path, array: np.ndarray, count: int
) -> None:
    expected = [*classifier.predict(IMAGES).labels] * 2
    assert list(classifier.predict(array).labels) == expected[:count]
    files = [tmp_path / "x.npy", tmp_path / "x.npz"]
    np.save(files[0], array)
    np.savez(files[1], x=array)
    if array.ndim > 1:
        files.append(tmp_path / "x.idx")
        files[-1].write_bytes(encode_idx(np.ascontiguousarray(array)))
    else:
        del files[1]  # an array of one axis in an archive is labels
    for file in files:
        config = PredictionConfig(model=model_path, inputs=(file,), output=tmp_path / f"{file.name}.csv")
        report = run_prediction(config)
        assert [row["label"] for row in read_rows(tmp_path / f"{file.name}.csv")] == expected[:count], file
        rows = f"{count} rows of 784 values are taken for pictures" if count > 1 else "1 row of 784 values is taken"
        said = f"{rows} of 28x28" if count > 1 else f"{rows} for a picture of 28x28"
        assert any(said in note for note in report.notes) == (array.shape[-1] == 784)


def test_what_cannot_be_told_is_refused_by_both(classifier: Classifier, model_path: Path, tmp_path: Path) -> None:
    array = np.zeros((20, 785), np.uint8)
    with pytest.raises(DataError, match=r"images has shape \[20, 785\]; .*array\[:, 1:\]"):
        classifier.predict(array)
    np.save(tmp_path / "x.npy", array)
    report = run_prediction(PredictionConfig(model=model_path, inputs=(tmp_path / "x.npy",), output=tmp_path / "x.csv"))
    assert (report.num_ok, report.num_errors) == (0, 1)
    assert "array[:, 1:]" in report.first_error


def test_bytes_of_every_kind_and_open_files_are_read(classifier: Classifier, tmp_path: Path) -> None:
    data, expected = encode(IMAGES[0]), classifier.predict(IMAGES[0]).labels
    (tmp_path / "a.png").write_bytes(data)
    written = io.BytesIO()
    written.write(data)  # it stands at its end
    with (tmp_path / "a.png").open("rb") as stream:
        ways = [data, bytearray(data), memoryview(data), io.BytesIO(data), written, stream]
        for way in ways:
            assert classifier.predict(way).labels == expected  # type: ignore[arg-type]
        assert classifier.predict(ways).labels == expected * len(ways)  # type: ignore[arg-type]


def test_a_view_of_pixels_is_an_array(classifier: Classifier) -> None:
    assert classifier.predict(memoryview(IMAGES)).labels == classifier.predict(IMAGES).labels


class Elsewhere:
    """As a tensor on a device: it has `__array__`, which refuses."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (IMAGES[0].tobytes(), DataError, r"784 bytes, as many as pixels.*frombuffer\(data, numpy.uint8\).reshape\(28, 28\)"),
        (io.StringIO("text"), UsageError, "gives str; open it with mode 'rb'"),
        (io.BytesIO(), DataError, "the image is empty"),
        (Elsewhere(), UsageError, "a Elsewhere, cannot be read as a NumPy array: can't convert cuda:0"),
        (np.zeros((1, 5, 5, 28, 28), np.uint8), DataError, r"reshape\(-1, 28, 28\) makes 25"),
        ({"image": IMAGES[0]}, UsageError, "is of type dict; expected an array"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_cannot_be_used_says_what_to_give(
    classifier: Classifier, given: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        classifier.predict(given)


def test_what_cannot_be_used_among_others_is_a_row(classifier: Classifier) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    cut = Image.open(io.BytesIO(encode(noise, "JPEG")[:1500]))
    given = [IMAGES[0], cut, IMAGES[:2], io.BytesIO(b""), IMAGES[1].tobytes(), IMAGES[1]]
    kept = classifier.predict(given, on_error="keep")  # type: ignore[arg-type]
    assert [bool(label) for label in kept.labels] == [True, False, False, False, False, True]
    for place, said in (
        (1, "is damaged: image file is truncated"),
        (2, "is 2 images"),
        (3, "empty"),
        (4, "frombuffer"),
    ):
        assert said in kept.messages[place]


def test_a_closed_file_is_an_error_of_its_own(classifier: Classifier) -> None:
    stream = io.BytesIO(encode(IMAGES[0]))
    stream.close()
    with pytest.raises(DataError, match="cannot read the image, a BytesIO: I/O operation on closed file"):
        classifier.predict(stream)


def test_a_closed_pil_image_is_not_called_damaged(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "seven.png"
    path.write_bytes(encode(IMAGES[0]))
    left, loaded, made = Image.open(path), Image.open(path), Image.fromarray(IMAGES[0])
    left.__exit__()  # its file is closed
    loaded.load()
    loaded.close()
    made.close()
    with path.open("rb") as stream:
        behind = Image.open(stream)
    for image in (left, loaded, made, behind):
        with pytest.raises(DataError, match="the image is a closed PIL image; give it before"):
            classifier.predict(image)
