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
from toolkit.errors import DataError, ModelError, UsageError
from toolkit.imaging.background import background_level
from toolkit.imaging.fit import fit_image, fit_like_mnist
from toolkit.imaging.ink_pieces import find_pieces
from toolkit.imaging.polarity import invert, is_dark_on_light
from toolkit.imaging.prepare import prepare_batch, prepare_image
from toolkit.imaging.settings import PrepareSettings

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
    assert background_level(large) == 255


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
    assert note == "grey repeated as RGB; fitted 28x28 -> 10x20"


def test_fit_none_refuses_another_size() -> None:
    spec = InputSpec(height=10, width=20, channels=1, polarity="any", fit="none")
    with pytest.raises(DataError, match="28x28; the model takes exactly 10x20"):
        fit_image(SEVEN, spec)


def test_unknown_fit_is_the_models_fault() -> None:
    with pytest.raises(ModelError, match="'crop'"):
        fit_image(SEVEN, InputSpec(height=10, width=20, channels=1, fit="crop"))


def test_notes_say_everything_that_was_done() -> None:
    picture = np.asarray(Image.fromarray(invert(np.pad(SEVEN, ((26, 26), (36, 36))))).convert("RGB"))
    assert prepare_image(picture, SPEC)[1] == "colour turned to grey; inverted: dark on light; fitted 80x100 -> 28x28"


@pytest.fixture(scope="module")
def mini_images() -> np.ndarray:
    from importlib.resources import files

    from toolkit.data.formats.idx import read_idx

    return read_idx(files("toolkit.data").joinpath("mini/t10k-images-idx3-ubyte.gz").read_bytes())


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 6), st.just(28), st.just(28))), st.booleans(), st.booleans())
def test_a_batch_is_prepared_as_its_pictures_are(pictures: np.ndarray, is_framed: bool, wants_dark: bool) -> None:
    if is_framed:
        pictures[:, 0] = pictures[:, -1] = pictures[:, :, 0] = pictures[:, :, -1] = 0
    spec = SPEC if not wants_dark else InputSpec(height=28, width=28, channels=1, polarity="dark-on-light", fit="mnist")
    check_batch(pictures, spec)


@given(hnp.arrays(np.uint8, (3, 40, 31), elements=st.sampled_from([0, 0, 0, 200, 255])))
def test_a_batch_of_another_size_is_prepared_as_its_pictures_are(pictures: np.ndarray) -> None:
    pictures[1] = 0
    check_batch(pictures, SPEC)


def check_batch(pictures: np.ndarray, spec: InputSpec) -> None:
    batch = prepare_batch(pictures, spec)
    images = dict(zip(batch.places.tolist(), batch.images, strict=True))
    for place, picture in enumerate(pictures):
        image, message = prepare_or_say(picture, spec)
        assert batch.messages.get(place, "") == message
        assert np.array_equal(images[place], image) if image is not None else place not in images


def prepare_or_say(picture: np.ndarray, spec: InputSpec) -> tuple[np.ndarray | None, str]:
    try:
        return prepare_image(picture, spec)
    except DataError as error:
        return None, str(error)


def test_pictures_that_need_nothing_are_given_back(mini_images: np.ndarray) -> None:
    batch = prepare_batch(mini_images, SPEC)
    assert batch.messages == {}
    assert np.array_equal(batch.images, mini_images)
    assert prepare_batch(mini_images[:5], InputSpec(height=28, width=28, channels=1)).images is not None


@pytest.mark.parametrize("wish", ["light-on-dark", "dark-on-light"])
def test_a_wished_polarity_is_not_doubted(wish: str) -> None:
    settings = PrepareSettings(polarity=wish)
    for picture in (SEVEN, invert(SEVEN)):
        image, _ = prepare_image(picture, SPEC, settings=settings)
        assert np.array_equal(image, picture if wish == "light-on-dark" else invert(picture))


def test_a_wished_polarity_that_leaves_no_ink_is_not_called_blank() -> None:
    dark_on_light = invert(draw_seven(side=56))
    with pytest.raises(DataError, match="give the other polarity"):
        prepare_image(dark_on_light, SPEC, settings=PrepareSettings(polarity="light-on-dark"))


def test_a_wished_fit_holds_for_the_models_own_size_too() -> None:
    moved = np.roll(SEVEN, (-2, 2), (0, 1))
    assert prepare_image(moved, SPEC)[0] is moved
    fitted, note = prepare_image(moved, SPEC, settings=PrepareSettings(fit="mnist"))
    assert note == "fitted 28x28 -> 28x28"
    assert np.allclose(centre_of_mass(fitted), (14, 14), atol=0.51)
    with pytest.raises(DataError, match="takes exactly"):
        prepare_image(np.pad(SEVEN, 1), SPEC, settings=PrepareSettings(fit="none"))


def test_wishes_that_nobody_knows_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'mnist'"):
        PrepareSettings(fit="mnits")
    with pytest.raises(UsageError, match="unknown polarity"):
        PrepareSettings(polarity="grey")


def photograph(digit: np.ndarray, *, slope: float = 90.0, texture: float = 4.0, seed: int = 0) -> np.ndarray:
    """A digit in dark ink on paper that is lit from one side, with the paper's texture."""
    rng = np.random.default_rng(seed)
    large = np.pad(np.kron(digit, np.ones((12, 12))) / 255, ((60, 90), (120, 30)))
    rows, columns = np.indices(large.shape) / max(large.shape)
    paper = 200 - slope * (rows + columns) / 2 + rng.normal(0, texture, large.shape)
    return np.clip(paper * (1 - 0.75 * large), 0, 255).astype(np.uint8)


def test_uneven_light_and_paper_do_not_change_what_is_seen(mini_images: np.ndarray) -> None:
    distances = []
    for seed, digit in enumerate(mini_images[:12]):
        expected, _ = prepare_image(np.pad(np.kron(digit, np.ones((12, 12), np.uint8)), 60), SPEC)
        fitted, note = prepare_image(photograph(digit, seed=seed), SPEC)
        assert "inverted: dark on light; uneven ground taken off" in note
        distances.append(np.abs(fitted.astype(int) - expected).mean())
    # A pale stroke may go with the paper and move the whole by a pixel; that is the exception.
    assert np.mean(distances) < 8
    assert max(distances) < 25


def test_paper_without_ink_is_blank() -> None:
    with pytest.raises(DataError, match="blank"):
        prepare_image(photograph(np.zeros((28, 28), np.uint8)), SPEC)


def test_specks_do_not_decide_where_the_drawing_is() -> None:
    picture = np.pad(np.kron(SEVEN, np.ones((6, 6), np.uint8)), 60)
    expected = fit_image(picture, SPEC)
    picture[3:6, 3:6] = picture[-8:-5, 20:24] = 255
    fitted, notes = fit_like_mnist(picture, SPEC)
    assert notes == ["2 specks left out"]
    assert np.abs(fitted.astype(int) - expected).mean() < 1


def test_two_drawings_side_by_side_are_said() -> None:
    large = np.kron(SEVEN, np.ones((4, 4), np.uint8))
    assert fit_like_mnist(np.hstack([large, large]), SPEC)[1] == ["doubtful: 2 drawings side by side"]
    assert fit_like_mnist(np.pad(large, 5), SPEC)[1] == []


@given(is_ink=hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_pieces_are_what_touches(is_ink: np.ndarray) -> None:
    pieces = find_pieces(is_ink)
    assert pieces is not None
    assert sum(piece.mass for piece in pieces) == is_ink.sum()
    assert len(pieces) == count_by_flood(is_ink)


def count_by_flood(is_ink: np.ndarray) -> int:
    left = {tuple(place) for place in np.argwhere(is_ink).tolist()}
    count = 0
    while left:
        count += 1
        waiting = [left.pop()]
        while waiting:
            row, column = waiting.pop()
            near = {(row + y, column + x) for y in (-1, 0, 1) for x in (-1, 0, 1)} & left
            left -= near
            waiting += near
    return count
