"""Arrays of any shape against a model: understood by the model's own size, or refused with the reshape to make."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.card import InputSpec
from toolkit.data.array_layout import as_batch, find_layout
from toolkit.data.formats.npz import load_npz
from toolkit.errors import DataError

GREY = InputSpec(height=28, width=28, channels=1)
WIDE = InputSpec(height=20, width=32, channels=1)
RGB = InputSpec(height=32, width=40, channels=3)


@pytest.mark.parametrize(
    ("spec", "shape", "expected"),
    [
        (GREY, (28, 28), (1, 28, 28)),
        (GREY, (784,), (1, 28, 28)),
        (GREY, (20, 784), (20, 28, 28)),
        (GREY, (1, 784), (1, 28, 28)),
        (GREY, (0, 784), (0, 28, 28)),
        (GREY, (0, 0, 28), (0, 0, 28)),
        (GREY, (20, 784, 1), (20, 28, 28)),
        (GREY, (20, 1, 784), (20, 28, 28)),
        (GREY, (20, 28, 28), (20, 28, 28)),
        (GREY, (28, 28, 28), (28, 28, 28)),
        (GREY, (28, 28, 1), (1, 28, 28)),
        (GREY, (28, 28, 2), (1, 28, 28, 2)),
        (GREY, (28, 28, 3), (1, 28, 28, 3)),
        (GREY, (28, 28, 4), (1, 28, 28, 4)),
        (GREY, (1, 28, 28), (1, 28, 28)),
        (GREY, (3, 28, 28), (3, 28, 28)),
        (GREY, (4, 28, 28), (4, 28, 28)),
        (GREY, (20, 28, 28, 1), (20, 28, 28)),
        (GREY, (20, 1, 28, 28), (20, 28, 28)),
        (GREY, (20, 3, 28, 28), (20, 28, 28, 3)),
        (GREY, (28, 28, 28, 3), (28, 28, 28, 3)),
        (GREY, (20, 28, 28, 4), (20, 28, 28, 4)),
        (GREY, (160, 140), (1, 160, 140)),
        (GREY, (160, 140, 3), (1, 160, 140, 3)),
        (GREY, (5, 160, 140), (5, 160, 140)),
        (GREY, (5, 3, 160, 140), (5, 160, 140, 3)),
        (WIDE, (640,), (1, 20, 32)),
        (WIDE, (9, 640), (9, 20, 32)),
        (WIDE, (32, 20, 32), (32, 20, 32)),
        (RGB, (32, 40), (1, 32, 40)),
        (RGB, (7, 32, 40), (7, 32, 40)),
        (RGB, (3, 32, 40), (1, 32, 40, 3)),
        (RGB, (32, 40, 3), (1, 32, 40, 3)),
        (RGB, (32, 40, 4), (1, 32, 40, 4)),
        (RGB, (7, 3, 32, 40), (7, 32, 40, 3)),
        (RGB, (7, 32, 40, 3), (7, 32, 40, 3)),
        (RGB, (3, 100, 80), (1, 100, 80, 3)),
        (RGB, (768, 1280), (1, 768, 1280)),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_models_size_tells_where_the_pictures_are(
    spec: InputSpec, shape: tuple[int, ...], expected: tuple[int, ...], order: Any
) -> None:
    array = np.asarray(np.arange(math.prod(shape), dtype=np.uint32).reshape(shape), order=order)
    batch = as_batch(array, name="x", spec=spec)
    assert batch.shape == expected
    assert not batch.size or np.shares_memory(batch, array)


def test_channels_that_come_first_go_last() -> None:
    array = np.arange(2 * 3 * 32 * 40).reshape(2, 3, 32, 40)
    assert np.array_equal(as_batch(array, name="x", spec=RGB)[1, ..., 2], array[1, 2])
    assert np.array_equal(as_batch(array[0], name="x", spec=RGB)[0, ..., 1], array[0, 1])


def test_flattened_rows_are_read_row_by_row() -> None:
    images = np.arange(6 * 640).reshape(6, 20, 32)
    assert np.array_equal(as_batch(images.reshape(6, 640), name="x", spec=WIDE), images)


@pytest.mark.parametrize(
    ("spec", "shape", "mend"),
    [
        (GREY, (783,), "the model takes [28, 28], [N, 28, 28], [N, 28, 28, 1], [N, 1, 28, 28] or [N, 784]"),
        (GREY, (15680,), "reshape(-1, 28, 28) makes 20"),
        (GREY, (20, 785), "leave out the column of labels: array[:, 1:]"),
        (GREY, (784, 20), "array.T are 20 flattened pictures, array[None] is one of 784x20"),
        (GREY, (784, 784), "reshape(-1, 28, 28) makes 784, array[None] is one of 784x784"),
        (GREY, (20, 2352), "reshape(-1, 28, 28, 3) makes 20 in colour"),
        (GREY, (2, 10, 784), "reshape(-1, 28, 28) makes 20"),
        (GREY, (1, 2, 10, 28, 28), "reshape(-1, 28, 28) makes 20"),
        (GREY, (4, 5, 28, 28), "reshape(-1, 28, 28) makes 20"),
        (GREY, (5, 3, 100, 3), "the model takes"),
        (GREY, (28, 28, 20), "where the count comes last, transpose(2, 0, 1) makes 20"),
        (GREY, (), "the model takes"),
        (RGB, (32, 40, 3, 9), "where the count comes last, transpose(3, 0, 1, 2) makes 9"),
        (RGB, (3840,), "reshape(-1, 32, 40, 3) makes 1 in colour, reshape(-1, 3, 32, 40)"),
        (RGB, (5, 6, 32, 40, 3), "reshape(-1, 32, 40, 3) makes 30"),
        (None, (5, 3, 4, 3), "expected [N, H, W], [N, H, W, 1], [N, H, W, 3], [N, 1, H, W] or [N, 3, H, W]"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reshape_to_make(
    spec: InputSpec | None, shape: tuple[int, ...], mend: str
) -> None:
    with pytest.raises(DataError) as caught:
        find_layout(shape, name="x.npy", spec=spec)
    assert str(caught.value).startswith(f"x.npy has shape {list(shape)}; ")
    assert mend in str(caught.value)


def test_a_data_set_of_flattened_pictures_is_told_its_reshape(tmp_path: Path) -> None:
    labels = np.zeros(4, int)
    np.savez(tmp_path / "x.npz", x_train=np.zeros((4, 400)), y_train=labels, x_test=np.zeros((4, 400)), y_test=labels)
    with pytest.raises(DataError, match=r"x_train in .* has shape \[4, 400\]; .*reshape\(-1, 20, 20\)"):
        load_npz(tmp_path / "x.npz")


@given(shape=st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 28, 29, 784, 785]), max_size=5))
def test_a_reshape_that_is_named_gives_the_count_that_is_named(shape: list[int]) -> None:
    """And what is taken has as many values as there are."""
    try:
        layout = find_layout(tuple(shape), name="x", spec=GREY)
    except DataError as error:
        if "reshape(-1, 28, 28) makes " in str(error):
            count = int(str(error).split("reshape(-1, 28, 28) makes ")[1].split(";")[0].split(",")[0])
            assert math.prod(shape) == count * 784
            assert 784 in [math.prod(shape[start:]) for start in range(len(shape))] or len(shape) == 1
    else:
        assert layout.num_pictures * math.prod(layout.stored) == math.prod(shape)
        assert math.prod(layout.stored) == math.prod(layout.shape)
