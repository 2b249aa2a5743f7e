"""Operators of old opsets by the attributes that they had, and norms: the values that the standard's text gives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import pytest
from one_node import made, run_node, wide

from toolkit.errors import ModelError

GRID = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mul", "Div", "Pow"])
def test_an_operand_is_laid_along_the_axis_that_is_named(op_type: str) -> None:
    left, right = np.abs(made(3, 3, 3)) + 1, np.array([1, 2, 3], np.float32)
    apply: Any = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}[op_type]
    for axis, shape in ((0, (3, 1, 1)), (1, (3, 1)), (-2, (3, 1))):
        (y,) = run_node(op_type, left, right, opset=6, broadcast=1, axis=axis)
        assert np.array_equal(y, apply(wide(left), wide(right).reshape(shape)))
    (y,) = run_node(op_type, left, right, opset=6, broadcast=1)
    assert np.array_equal(y, apply(wide(left), wide(right)))


@pytest.mark.parametrize(
    ("op_type", "opset", "arrays", "options", "expected"),
    [
        ("Clip", 1, [GRID], {"min": 1.0, "max": 4.0}, GRID.clip(1, 4)),
        ("Concat", 1, [GRID, GRID], {}, np.concatenate([GRID, GRID], 1)),
        ("Reshape", 1, [GRID], {"shape": [0, -1, 1]}, GRID.reshape(2, 3, 1)),
        ("Tile", 1, [GRID, np.float32(2).reshape(()), np.float32(1).reshape(())], {}, np.tile(GRID, (1, 2))),
        ("Dropout", 1, [GRID], {"is_test": 1}, GRID),
        ("Dropout", 6, [GRID], {"is_test": 1, "ratio": 0.9}, GRID),
        ("Cast", 1, [GRID], {"to": "INT64"}, GRID.astype(np.int64)),
        ("PRelu", 6, [-GRID, np.array([1, 2, 3], np.float32)], {}, -GRID * [1, 2, 3]),
        (
            "PRelu",
            6,
            [-np.ones((1, 2, 2), np.float32), np.array([1, 2], np.float32)],
            {},
            np.array([[[-1, -1], [-2, -2]]]),
        ),
        ("Unsqueeze", 11, [GRID], {"axes": [3, 0]}, GRID.reshape(1, 2, 3, 1)),
        ("Gemm", 1, [GRID, GRID, np.ones((3, 3), np.float32)], {"transA": 1, "beta": 2.0}, GRID.T @ GRID + 2),
        ("Gemm", 6, [GRID, GRID[:, :2], np.float32(1).reshape(1)], {"transA": 1, "transB": 1, "broadcast": 1}, None),
        ("Sum", 1, [GRID, GRID], {"consumed_inputs": [0, 1]}, GRID * 2),
    ],
)
def test_an_attribute_of_an_old_opset_means_what_it_meant(
    op_type: str, opset: int, arrays: list[Any], options: dict[str, Any], expected: Any
) -> None:
    if expected is None:
        expected = GRID.T @ GRID[:, :2].T + 1
    (y,) = run_node(op_type, *arrays, opset=opset, **options)
    assert y.shape == expected.shape
    assert np.array_equal(y, expected)


def test_split_of_opset_1_cuts_along_the_first_axis() -> None:
    first, second = run_node("Split", GRID, opset=1, outputs=2)
    assert first.tolist() == [[0, 1, 2]]
    assert second.tolist() == [[3, 4, 5]]
    first, second = run_node("Split", GRID, opset=1, outputs=2, axis=1, split=[1, 2])
    assert second.tolist() == [[1, 2], [4, 5]]


def test_what_chance_decides_has_no_reference() -> None:
    with pytest.raises(ModelError, match="by chance"):
        run_node("Dropout", GRID, opset=6)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("rank", [3, 4])
def test_neighbours_are_counted_at_every_channel(size: int, rank: int) -> None:
    x = made(2, 6, 3, 4)[(slice(None),) * rank + (0,) * (4 - rank)]
    (y,) = run_node("LRN", x, opset=13, size=size, alpha=0.5, beta=0.75, bias=2.0)
    exact = wide(x)
    for channel in range(6):
        low, high = max(0, channel - math.floor((size - 1) / 2)), min(5, channel + math.ceil((size - 1) / 2))
        sums = (exact[:, low : high + 1] ** 2).sum(1)
        assert np.abs(y[:, channel] - exact[:, channel] / (2 + 0.5 / size * sums) ** 0.75).max() < 1e-14


def test_a_1_norm_sums_what_lies_under_0_too_and_a_norm_of_0_leaves_0() -> None:
    x = np.array([[1, -3], [0, 0]], np.float32)
    assert run_node("LpNormalization", x, opset=1, p=1)[0].tolist() == [[0.25, -0.75], [0, 0]]
    assert run_node("LpNormalization", x, opset=22, axis=0)[0].tolist() == [[1, -1], [0, 0]]


def test_groups_have_a_scale_each_in_opset_18_and_channels_since_21() -> None:
    x = made(2, 4, 3)
    grouped = wide(x).reshape(2, 2, 6)
    epsilon = float(np.float32(0.01))
    normal = (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + epsilon)
    per_group, per_channel = made(2), made(4)
    (y,) = run_node("GroupNormalization", x, per_group, per_group, opset=18, num_groups=2, epsilon=0.01)
    scale = wide(per_group).reshape(2, 1)
    assert np.abs(y.reshape(2, 2, 6) - (normal * scale + scale)).max() < 1e-14
    (y,) = run_node("GroupNormalization", x, per_channel, per_channel, opset=21, num_groups=2, epsilon=0.01)
    scale = wide(per_channel).reshape(4, 1)
    assert np.abs(y - (normal.reshape(x.shape) * scale + scale)).max() < 1e-14


def test_channels_are_standardised_over_the_axes_that_are_named() -> None:
    x = made(2, 3, 4, 5)
    (y,) = run_node("MeanVarianceNormalization", x, opset=9)
    exact = wide(x)
    mean, deviation = exact.mean((0, 2, 3), keepdims=True), exact.std((0, 2, 3), keepdims=True)
    assert np.abs(y - (exact - mean) / (deviation + 1e-9)).max() < 1e-12


@pytest.mark.parametrize(
    ("op_type", "opset", "function"),
    [
        ("Erf", 13, math.erf),
        ("Gelu", 20, lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2)))),
        ("HardSwish", 14, lambda x: x * min(1.0, max(0.0, x / 6 + 0.5))),
    ],
)
def test_functions_are_exact_in_float64(op_type: str, opset: int, function: Any) -> None:
    x = made(3, 4)
    (y,) = run_node(op_type, x, opset=opset)
    assert np.abs(y - np.vectorize(function)(wide(x))).max() < 1e-15


def test_a_logarithm_of_a_vanishing_share_is_finite() -> None:
    (y,) = run_node("LogSoftmax", np.array([[1000, 0]], np.float32), opset=onnx.defs.onnx_opset_version())
    assert y.tolist() == [[0, -1000]]
