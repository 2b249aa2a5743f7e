from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from imaging_samples import draw_seven
from PIL import Image

from toolkit.card import InputSpec
from toolkit.errors import DataError, ModelError
from toolkit.imaging.fit import fit_image
from toolkit.imaging.polarity import ground_level, invert, is_dark_on_light
from toolkit.imaging.prepare import prepare_image

SEVEN = draw_seven()
SPEC = InputSpec(height=28, width=28, channels=1, polarity="light-on-dark", fit="mnist")
IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def centre_of_mass(image: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(image.shape)
    return float((rows * image.astype(float)).sum() / image.sum()), float(
        (columns * image.astype(float)).sum() / image.sum()
    )


def test_polarity_is_told_from_the_ground() -> None:
    assert not is_dark_on_light(SEVEN)
    assert is_dark_on_light(invert(SEVEN))


@pytest.mark.parametrize(
    ("ground", "ink", "expected"), [(110, 20, True), (110, 240, False), (200, 90, True), (40, 160, False)]
)
def test_polarity_holds_on_grey_grounds(ground: int, ink: int, expected: bool) -> None:
    assert is_dark_on_light(np.where(SEVEN > 0, ink, ground).astype(np.uint8)) is expected


def test_every_embedded_mnist_image_is_light_on_dark_and_untouched(mini_images: np.ndarray) -> None:
    for image in mini_images:
        fitted, note = prepare_image(image, SPEC)
        assert fitted is image
        assert note == ""


def test_every_inverted_mnist_image_is_noticed(mini_images: np.ndarray) -> None:
    for image in mini_images:
        fitted, note = prepare_image(invert(image), SPEC)
        assert np.array_equal(fitted, image)
        assert note == "inverted: dark on light"


@given(IMAGES)
def test_polarity_is_never_both(image: np.ndarray) -> None:
    assert not (is_dark_on_light(image) and is_dark_on_light(invert(image)))


@given(IMAGES)
def test_inverting_twice_changes_nothing(image: np.ndarray) -> None:
    assert np.array_equal(invert(invert(image)), image)


def test_polarity_of_large_pictures_is_judged_from_a_sample() -> None:
    large = np.kron(invert(SEVEN), np.ones((60, 60), np.uint8))
    assert is_dark_on_light(large)
    assert ground_level(large) == 255


def test_model_that_takes_dark_ink_gets_dark_ink() -> None:
    spec = InputSpec(height=28, width=28, channels=1, polarity="dark-on-light", fit="mnist")
    assert np.array_equal(prepare_image(SEVEN, spec)[0], invert(SEVEN))
    assert prepare_image(invert(SEVEN), spec)[1] == ""


def test_polarity_any_is_left_alone() -> None:
    spec = InputSpec(height=28, width=28, channels=1, polarity="any", fit="stretch")
    image = invert(SEVEN)
    assert prepare_image(image, spec)[0] is image


def test_fit_does_not_depend_on_where_and_how_large_the_ink_is() -> None:
    expected = fit_image(np.pad(SEVEN, 10), SPEC)
    for scale, top, left in ((1, 0, 30), (4, 7, 3), (9, 50, 200)):
        moved = np.pad(np.kron(SEVEN, np.ones((scale, scale), np.uint8)), ((top, 20), (left, 5)))
        assert np.abs(fit_image(moved, SPEC).astype(int) - expected).mean() < 8


def test_fit_like_mnist_makes_20_pixels_centred_by_mass() -> None:
    rows, columns = np.nonzero(fit_image(np.pad(np.kron(SEVEN, np.ones((5, 5), np.uint8)), 40), SPEC))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    fitted = fit_image(np.pad(np.kron(SEVEN, np.ones((5, 5), np.uint8)), 40), SPEC)
    assert np.allclose(centre_of_mass(fitted), (14, 14), atol=0.51)


def test_fit_keeps_the_aspect() -> None:
    bar = np.zeros((200, 100), np.uint8)
    bar[20:180, 40:60] = 200
    rows, columns = np.nonzero(fit_image(bar, SPEC))
    assert np.ptp(rows) + 1 == 20
    assert 2 <= np.ptp(columns) + 1 <= 4


def test_fit_takes_a_grey_ground_off() -> None:
    grey = np.where(np.pad(np.kron(SEVEN, np.ones((4, 4), np.uint8)), 20) > 0, 200, 90).astype(np.uint8)
    fitted = fit_image(grey, SPEC)
    assert fitted[0, 0] == 0
    assert fitted.max() > 240


def test_blank_picture_of_another_size_is_refused() -> None:
    with pytest.raises(DataError, match="blank"):
        fit_image(np.full((50, 50), 255, np.uint8), SPEC)


@given(IMAGES)
def test_fit_always_gives_the_model_its_size_or_says_blank(image: np.ndarray) -> None:
    is_blank = image.shape != (28, 28) and np.ptp(image) == 0
    with pytest.raises(DataError, match="blank") if is_blank else nullcontext():
        fitted, _ = prepare_image(image, SPEC)
        assert fitted.shape == (28, 28)
        assert fitted.dtype == np.uint8


@given(hnp.arrays(np.uint8, (28, 28)))
def test_image_of_the_right_size_keeps_every_pixel_or_is_inverted(image: np.ndarray) -> None:
    fitted, note = prepare_image(image, SPEC)
    assert np.array_equal(fitted, invert(image) if note else image)


def test_stretch_resizes_the_whole_picture() -> None:
    spec = InputSpec(height=10, width=20, channels=3, polarity="any", fit="stretch")
    fitted, note = prepare_image(SEVEN, spec)
    assert fitted.shape == (10, 20, 3)
    assert note == "grey repeated as RGB; fitted 28x28 -> 20x10"


def test_fit_none_refuses_another_size() -> None:
    spec = InputSpec(height=10, width=20, channels=1, polarity="any", fit="none")
    with pytest.raises(DataError, match="28x28; the model takes exactly 20x10"):
        fit_image(SEVEN, spec)


def test_unknown_fit_is_the_models_fault() -> None:
    with pytest.raises(ModelError, match="'crop'"):
        fit_image(SEVEN, InputSpec(height=10, width=20, channels=1, fit="crop"))


def test_notes_say_everything_that_was_done() -> None:
    picture = np.asarray(Image.fromarray(invert(np.pad(SEVEN, ((26, 26), (36, 36))))).convert("RGB"))
    assert prepare_image(picture, SPEC)[1] == "colour turned to grey; inverted: dark on light; fitted 100x80 -> 28x28"


@pytest.fixture(scope="module")
def mini_images() -> np.ndarray:
    from importlib.resources import files

    from toolkit.data.idx import read_idx

    return read_idx(files("toolkit.data").joinpath("mini/t10k-images-idx3-ubyte.gz").read_bytes())
