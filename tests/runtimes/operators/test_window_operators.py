"""Pooling and convolutions of ours: where windows lie, what they hold, and that dilations cost no memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from one_node import made, run_node, wide

from toolkit.errors import ModelError

NEWEST_POOL = 22
RISING = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 5)


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(
    ("auto_pad", "starts"), [("SAME_UPPER", [0, 1, 2, 3, 4]), ("SAME_LOWER", [-1, 0, 1, 2, 3]), ("VALID", [0, 1, 2, 3])]
)
def test_an_odd_element_of_padding_lies_where_the_word_says(op_type: str, auto_pad: str, starts: list[int]) -> None:
    (y,) = run_node(op_type, RISING, opset=11, kernel_shape=[2], auto_pad=auto_pad)
    windows = [[v for v in (start + 1, start + 2) if 1 <= v <= 5] for start in starts]
    reduce = {"MaxPool": max, "AveragePool": np.mean, "LpPool": lambda v: np.sqrt(np.square(v).sum())}[op_type]
    assert np.abs(y[0, 0] - [reduce(window) for window in windows]).max() < 1e-14


@pytest.mark.parametrize("size", [(4,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize(
    ("op_type", "reduce"),
    [
        ("GlobalMaxPool", lambda x, axes: x.max(axes)),
        ("GlobalAveragePool", lambda x, axes: x.mean(axes)),
        ("GlobalLpPool", lambda x, axes: np.sqrt((x * x).sum(axes))),
    ],
)
def test_global_pooling_takes_maps_of_any_rank(op_type: str, reduce: Any, size: tuple[int, ...]) -> None:
    x = made(2, 3, *size)
    (y,) = run_node(op_type, x, opset=2)
    assert y.shape == (2, 3, *[1] * len(size))
    assert np.abs(y.reshape(2, 3) - reduce(wide(x), tuple(range(2, x.ndim)))).max() < 1e-14


def test_rounding_up_makes_no_window_of_padding_alone() -> None:
    options = {"kernel_shape": [2], "strides": [3], "pads": [0, 1], "ceil_mode": 1}
    assert run_node("MaxPool", RISING, opset=NEWEST_POOL, **options)[0].tolist() == [[[2, 5]]]
    assert run_node("MaxPool", RISING[..., :3], opset=NEWEST_POOL, **options)[0].tolist() == [[[2]]]


def test_what_rounding_up_adds_is_never_counted_and_padding_only_where_it_is_asked_for() -> None:
    options = {"kernel_shape": [3], "strides": [2], "pads": [1, 0], "ceil_mode": 1}
    own = run_node("AveragePool", RISING, opset=NEWEST_POOL, **options)[0]
    assert own.tolist() == [[[1.5, 3, 4.5]]]
    counted = run_node("AveragePool", RISING, opset=NEWEST_POOL, count_include_pad=1, **options)[0]
    assert counted.tolist() == [[[1, 3, 4.5]]]


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize("size", [2**63 - 1, 2**62, 0, -2])
@pytest.mark.parametrize("name", ["dilations", "strides"])
def test_windows_never_lie_outside_of_the_maps(op_type: str, name: str, size: int) -> None:
    with pytest.raises(ModelError, match=rf"{name} \[{size}\].*expected 1 to 2,147,483,647"):
        run_node(op_type, RISING, opset=NEWEST_POOL, kernel_shape=[3], **{name: [size]})


def test_places_of_maxima_are_those_of_the_whole_tensor_in_either_order() -> None:
    x = np.zeros((1, 2, 2, 3), np.float32)
    x[0, 1, 1, 0] = 5
    for order, place in ((0, 6 + 1 * 3 + 0), (1, 6 + 1 + 0 * 2)):
        _, places = run_node("MaxPool", x, opset=12, outputs=2, kernel_shape=[2, 3], storage_order=order)
        assert places.tolist() == [[[[0]], [[place]]]]


def test_maxima_go_back_to_their_places_in_the_tensor_that_was_pooled() -> None:
    x = made(1, 1, 5, 5)
    top, places = run_node("MaxPool", x, opset=12, outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    sizes = np.array([1, 1, 5, 5])
    (back,) = run_node(
        "MaxUnpool", top.astype(np.float32), places, sizes, opset=11, kernel_shape=[2, 2], strides=[2, 2]
    )
    assert np.array_equal(back.reshape(-1)[places.reshape(-1)], wide(x).reshape(-1)[places.reshape(-1)])
    assert np.count_nonzero(back) == 4


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strides": [2, 3]},
        {"dilations": [2, 1], "pads": [1, 0, 2, 1]},
        {"strides": [2, 2], "dilations": [1, 2], "group": 2},
    ],
)
def test_convolving_transposed_is_the_transpose_of_convolving(options: dict[str, Any]) -> None:
    x, weight = made(1, 4, 7, 8), made(6, 4 // options.get("group", 1), 3, 2)
    (y,) = run_node("Conv", x, weight, opset=11, **options)
    back = made(*y.shape)
    (z,) = run_node(
        "ConvTranspose",
        back,
        weight,
        opset=11,
        output_shape=None,
        **{**options, "output_padding": _left(x, y, options)},
    )
    assert z.shape == x.shape
    assert abs((y * back).sum() - (wide(x) * z).sum()) < 1e-12


def _left(x: Any, y: Any, options: dict[str, Any]) -> list[int]:
    """Return the elements at the end that no window of a convolution reaches."""
    strides, dilations = options.get("strides", [1, 1]), options.get("dilations", [1, 1])
    pads = options.get("pads", [0] * 4)
    spans = [2 * dilations[0] + 1, dilations[1] + 1]
    return [x.shape[2 + i] + pads[i] + pads[2 + i] - spans[i] - (y.shape[2 + i] - 1) * strides[i] for i in range(2)]


@pytest.mark.parametrize(("auto_pad", "begin"), [("NOTSET", 2), ("SAME_UPPER", 1), ("SAME_LOWER", 2)])
def test_a_given_output_size_is_cut_where_the_standard_says(auto_pad: str, begin: int) -> None:
    x, weight = made(1, 1, 4), made(1, 1, 3)
    whole = np.convolve(np.kron(wide(x)[0, 0], [1, 0])[:-1], wide(weight)[0, 0])
    (y,) = run_node("ConvTranspose", x, weight, opset=11, strides=[2], output_shape=[6], auto_pad=auto_pad)
    assert np.abs(y[0, 0] - whole[begin : begin + 6]).max() < 1e-14


def test_a_dilated_convolution_holds_no_kernel_of_zeros() -> None:
    x, weight = made(1, 16, 9000), made(16, 16, 3)
    tracemalloc.start()
    (y,) = run_node("Conv", x, weight, opset=18, dilations=[4096], strides=[8])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = sum(
        wide(weight)[:, :, place] @ wide(x)[0, :, place * 4096 : place * 4096 + 101 * 8 : 8] for place in range(3)
    )
    assert np.abs(y[0] - expected).max() < 1e-12
    assert peak < 16 * 16 * 8193 * 8 / 2  # a kernel spread into zeros has 8,193 places
