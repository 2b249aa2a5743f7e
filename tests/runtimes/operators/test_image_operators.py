"""Resize, Upsample, RoiAlign, MaxRoiPool, NonMaxSuppression, GridSample: by hand, PyTorch or ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from one_node import Array, distance, made, node_file, run_by_ort, run_model, run_node, wide

from toolkit.errors import ModelError
from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime

ROW = np.array([0, 10, 20, 30], np.float32)
NOTHING = np.zeros(0, np.float32)


def resized(opset: int, **options: Any) -> list[float]:
    """ROW to another length by the options: a scale, or sizes, and attributes."""
    sizes = options.pop("sizes", None)
    scales = np.array([options.pop("scale")], np.float32) if sizes is None else NOTHING if opset < 13 else None
    roi = np.array(options.pop("roi", []), np.float32)
    given = [ROW, roi, scales, *([] if sizes is None else [np.array([sizes])])] if opset > 10 else [ROW, scales]
    (y,) = run_node("Resize", *given, opset=opset, **options)
    assert y.dtype == np.float64
    return [round(float(number), 9) for number in y]


# Each by Operators.md, Resize: x_original of the mode, then the neighbours and their weights.
BY_HAND = [
    ({"scale": 2, "mode": "linear", "coordinate_transformation_mode": "asymmetric"}, [0, 5, 10, 15, 20, 25, 30, 30]),
    ({"scale": 0.5, "mode": "linear"}, [5, 25]),
    ({"sizes": 3, "mode": "linear", "coordinate_transformation_mode": "align_corners"}, [0, 15, 30]),
    # 5 places from 4 by 1.4: the length is 5, no longer 5.6.
    ({"scale": 1.4, "mode": "linear", "coordinate_transformation_mode": "align_corners"}, [0, 7.5, 15, 22.5, 30]),
    ({"scale": 0.4, "mode": "linear", "coordinate_transformation_mode": "align_corners"}, [0]),
    # One place: the first, not the half before it.
    ({"scale": 0.28, "coordinate_transformation_mode": "pytorch_half_pixel"}, [0]),
    ({"scale": 0.28, "coordinate_transformation_mode": "pytorch_half_pixel", "nearest_mode": "floor"}, [0]),
    ({"sizes": 8, "nearest_mode": "round_prefer_floor"}, [0, 0, 10, 10, 20, 20, 30, 30]),
    ({"sizes": 8, "nearest_mode": "ceil", "coordinate_transformation_mode": "asymmetric"}, [0, 10, 10, 20, 20, 30, 30, 30]),
    ({"sizes": 2, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, [0, 20]),
    # One place of a region from a quarter to three quarters: its middle.
    (
        {
            "sizes": 1,
            "mode": "linear",
            "coordinate_transformation_mode": "tf_crop_and_resize",
            "roi": [0.25, 0.75],
        },
        [15],
    ),
    (
        {
            "sizes": 4,
            "mode": "linear",
            "coordinate_transformation_mode": "tf_crop_and_resize",
            "roi": [0.5, 1.5],
            "extrapolation_value": -7.0,
        },
        [15, 25, -7, -7],
    ),
]  # fmt: skip


@pytest.mark.parametrize("opset", [11, 13, 18, 19])
@pytest.mark.parametrize(("options", "expected"), BY_HAND)
def test_resize_takes_the_places_that_its_modes_name(
    opset: int, options: dict[str, Any], expected: list[float]
) -> None:
    assert resized(opset, **options) == expected


def test_resize_for_tensorflow_of_opset_11() -> None:
    options = {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}
    assert resized(11, scale=0.5, **options) == [10, 30]


@pytest.mark.parametrize(
    ("scale", "mode", "expected"),
    [
        (2, "nearest", [0, 0, 10, 10, 20, 20, 30, 30]),
        # ONNX's own case of opset 10, resize_downsample_nearest: downwards the next place up.
        (0.6, "nearest", [0, 20]),
        (2, "linear", [0, 5, 10, 15, 20, 25, 30, 30]),
        (0.5, "linear", [0, 20]),
    ],
)
def test_resize_of_opset_10(scale: float, mode: str, expected: list[float]) -> None:
    assert resized(10, scale=scale, mode=mode) == expected


@pytest.mark.parametrize("opset", [1, 7, 9])
def test_upsample_in_every_opset(opset: int) -> None:
    x = made(1, 2, 3, 2)
    given: list[Array] = [x] if opset < 9 else [x, np.array([1, 1, 2, 3], np.float32)]
    options: dict[str, Any] = {
        1: {"height_scale": 2.0, "width_scale": 3.0},
        7: {"scales": [1.0, 1.0, 2.0, 3.0]},
        9: {},
    }[opset]
    (y,) = run_node("Upsample", *given, opset=opset, **options)
    assert np.array_equal(y, wide(x).repeat(2, 2).repeat(3, 3))
    mode = "bilinear" if opset == 1 else "linear"
    (y,) = run_node("Upsample", *given, opset=opset, mode=mode, **options)
    assert np.abs(y[:, :, ::2, ::3] - x).max() < 1e-15
    assert (
        np.abs(y[:, :, 1, 1] - (x[:, :, 0, 0] * 2 + x[:, :, 0, 1] + x[:, :, 1, 0] * 2 + x[:, :, 1, 1]) / 6).max() < 1e-6
    )


@pytest.mark.parametrize(("length", "scale"), [(10, 0.7), (10, 0.9), (5, 0.6), (10, 1.1), (7, 1.5)])
def test_the_resized_length_is_a_product_of_float32(length: int, scale: float) -> None:
    x, scales = made(length, 3), np.array([scale, 1], np.float32)
    (y,) = run_node("Resize", x, None, scales, opset=13, mode="linear")
    (other,) = run_by_ort("Resize", x, None, scales, opset=13, mode="linear")
    assert y.shape == other.shape
    assert distance(y, other) < 1e-5


SMOOTH = [
    {"mode": "cubic", "cubic_coeff_a": -0.5},
    {"mode": "cubic", "exclude_outside": 1},
    {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    {"mode": "cubic", "coordinate_transformation_mode": "align_corners"},
    {"mode": "linear", "antialias": 1},
    {"mode": "cubic", "antialias": 1, "coordinate_transformation_mode": "align_corners"},
    {"mode": "cubic", "antialias": 1, "exclude_outside": 1},
]


@pytest.mark.parametrize("attributes", SMOOTH)
@pytest.mark.parametrize("scale", [1.62, 0.43])
def test_resize_weighs_as_onnx_runtime_does(attributes: dict[str, Any], scale: float) -> None:
    x, scales = made(1, 2, 6, 7), np.array([1, 1, scale, 1 / scale], np.float32)
    (y,) = run_node("Resize", x, None, scales, opset=18, **attributes)
    (other,) = run_by_ort("Resize", x, None, scales, opset=18, **attributes)
    assert distance(y, other) < 1e-5
    (narrow,) = run_model(
        node_file("Resize", [x, None, scales], opset=18, **attributes), [x, None, scales], OnnxEvaluatorRuntime
    )
    assert narrow.dtype == np.float32
    assert distance(y, narrow) < 1e-5


def test_resize_by_pytorch() -> None:
    import torch

    x, sizes = made(1, 2, 6, 7), np.array([9, 4])
    options: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (
            {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
            {"mode": "bilinear", "align_corners": True},
        ),
        ({"mode": "linear", "antialias": 1, "exclude_outside": 1}, {"mode": "bilinear", "antialias": True}),
        ({"mode": "cubic"}, {"mode": "bicubic"}),
    ]
    for attributes, named in options:
        (y,) = run_node("Resize", x, None, None, sizes, opset=18, axes=[-2, 3], **attributes)
        expected = torch.nn.functional.interpolate(torch.from_numpy(wide(x)), size=(9, 4), **named)
        assert np.abs(y - expected.numpy()).max() < 1e-12


@pytest.mark.parametrize(("policy", "shape"), [("stretch", (7, 11)), ("not_larger", (7, 9)), ("not_smaller", (9, 11))])
def test_resize_keeps_the_aspect_ratio(policy: str, shape: tuple[int, int]) -> None:
    x, sizes = made(1, 2, 4, 5), np.array([7, 11])
    options = {"axes": [2, 3], "keep_aspect_ratio_policy": policy, "mode": "linear"}
    (y,) = run_node("Resize", x, None, None, sizes, opset=18, **options)
    assert y.shape == (1, 2, *shape)
    assert np.abs(y - run_by_ort("Resize", x, None, None, sizes, opset=18, **options)[0]).max() < 1e-5


ROIS = np.array([[0, 0, 3, 4], [0.3, 0.7, 4.2, 3.1], [-1, -2, 2, 2], [1, 1, 1.2, 1.1]], np.float32)


@pytest.mark.parametrize("opset", [10, 16, 22])
def test_roi_align_of_a_plane_is_the_mean_of_its_places(opset: int) -> None:
    rows, columns = np.mgrid[:6, :8].astype(np.float32)
    x, rois = (2 * rows - columns)[None, None], np.array([[1, 1, 5, 4]], np.float32)
    (y,) = run_node("RoiAlign", x, rois, np.array([0]), opset=opset, output_height=3, output_width=2, sampling_ratio=2)
    # Each cell is 1 high and 2 wide; its places are even about its middle. Half a pixel is taken off since opset 16.
    shift = 0.0 if opset == 10 else 0.5
    high, wide_at = 1.5 + np.arange(3)[:, None] - shift, 2 + 2 * np.arange(2) - shift
    assert np.abs(y[0, 0] - (2 * high - wide_at)).max() < 1e-14


@pytest.mark.parametrize(("opset", "mode"), [(10, "avg"), (10, "max"), (16, "avg"), (16, "max")])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_as_onnx_runtime_has_it(opset: int, mode: str, ratio: int) -> None:
    x, which = made(2, 3, 5, 6), np.array([0, 1, 1, 0])
    options = {"mode": mode, "sampling_ratio": ratio, "output_height": 2, "output_width": 3, "spatial_scale": 0.9}
    (y,) = run_node("RoiAlign", x, ROIS, which, opset=opset, **options)
    assert np.abs(y - run_by_ort("RoiAlign", x, ROIS, which, opset=opset, **options)[0]).max() < 1e-5


def test_max_roi_pool_by_hand() -> None:
    x = np.arange(48, dtype=np.float32).reshape(1, 1, 6, 8)
    rois = np.array([[0, 0, 0, 3, 4], [0, 5, 4, 20, 9], [0, 12, 12, 12, 12]], np.float32)
    (y,) = run_node("MaxRoiPool", x, rois, opset=1, pooled_shape=[2, 2])
    # Rows 0 to 4 in cells of 2.5 are 0 to 2 and 2 to 4; what lies outside the image counts for nothing.
    assert y[0, 0].tolist() == [[17, 19], [33, 35]]
    assert y[1, 0].tolist() == [[47, 0], [0, 0]]
    assert not y[2].any()
    (other,) = run_by_ort("MaxRoiPool", x, rois, opset=1, pooled_shape=[2, 2])
    assert np.array_equal(y, other)
    halved = {"opset": 1, "pooled_shape": [1, 1], "spatial_scale": 0.5}  # 1.5 is 2: the corner, and half a place up
    (y,) = run_node("MaxRoiPool", x, np.array([[0, 1, 1, 3, 3]], np.float32), **halved)
    assert y.ravel().tolist() == [18]


BOXES = np.array([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [1, 0.9, 0, -0.1], [0, 10, 1, 11], [0, 0, 0, 0]], np.float32)[None]
SCORES = np.array([0.9, 0.75, 0.6, 0.95, 0.3], np.float32)[None, None]


@pytest.mark.parametrize("opset", [10, 11])
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([np.array([3]), np.float32(0.5), np.float32(0)], [3, 0, 4]),
        ([np.array(9), np.array([0.9], np.float32)], [3, 0, 1, 2, 4]),
        ([np.array([3])], [3, 0, 4]),  # no overlap at all
        ([np.array([2]), None, np.float32(0.91)], [3]),
        ([], []),  # no boxes
    ],
)
def test_non_max_suppression_without_its_optional_inputs(given: list[Any], kept: list[int], opset: int) -> None:
    arrays = [None if item is None else np.asarray(item) for item in given]
    (y,) = run_node("NonMaxSuppression", BOXES, SCORES, *arrays, opset=opset)
    assert y.dtype == np.int64
    assert y.reshape(-1, 3).tolist() == [[0, 0, box] for box in kept]
    assert np.array_equal(y, run_by_ort("NonMaxSuppression", BOXES, SCORES, *arrays, opset=opset)[0])


def test_boxes_by_their_centres() -> None:
    centred = np.array([[0.5, 0.5, 1, 1], [0.5, 0.6, 1, 1], [0.5, 10.5, 1, 1]], np.float32)[None]
    given = [centred, SCORES[..., :3].copy(), np.array([3]), np.array([0.5], np.float32)]
    (y,) = run_node("NonMaxSuppression", *given, opset=11, center_point_box=1)
    assert y[:, 2].tolist() == [0, 2]


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("opset", [16, 20])
def test_grid_sample_by_pytorch(opset: int, mode: str, padding: str, align_corners: int) -> None:
    import torch

    x, grid = made(2, 3, 4, 5), made(2, 6, 7, 2)
    early = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    options: dict[str, Any] = {"padding_mode": padding, "align_corners": align_corners}
    (y,) = run_node("GridSample", x, grid, opset=opset, mode=early if opset == 16 else mode, **options)
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(wide(x)), torch.from_numpy(wide(grid)), early, padding, align_corners=bool(align_corners)
    )
    assert np.abs(y - expected.numpy()).max() < 1e-12


@pytest.mark.parametrize("align_corners", [0, 1])
def test_volumes_by_pytorch(align_corners: int) -> None:
    import torch

    theta, size, x = made(2, 3, 4), np.array([2, 1, 2, 3, 4]), made(2, 1, 4, 5, 6)
    (grid,) = run_node("AffineGrid", theta, size, opset=20, align_corners=align_corners)
    wanted = torch.nn.functional.affine_grid(
        torch.from_numpy(wide(theta)), size.tolist(), align_corners=bool(align_corners)
    )
    assert grid.dtype == np.float64
    assert np.abs(grid - wanted.numpy()).max() < 1e-14
    near = (grid / 4).astype(np.float32)
    (y,) = run_node("GridSample", x, near, opset=22, mode="linear", align_corners=align_corners)
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(wide(x)), torch.from_numpy(wide(near)), "bilinear", align_corners=bool(align_corners)
    )
    assert np.abs(y - expected.numpy()).max() < 1e-12


def test_one_place_that_is_both_corners_has_no_reference() -> None:
    with pytest.raises(ModelError, match="no value for an axis of one place"):
        run_node("AffineGrid", made(1, 2, 3), np.array([1, 1, 1, 4]), opset=20, align_corners=1)
