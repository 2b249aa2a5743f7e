"""Images read between their pixels: Resize and Upsample, one axis after the other; GridSample and AffineGrid.

Shapes: L length of the input's axis, M length of the output's, K places that count for an output; N batch, C channels,
D number of spatial axes, S places asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from onnx.numpy_helper import saturate_cast

from toolkit.runtimes.references.operators.declared import Array, operator

# Operators.md, GridSample: the coefficient of its cubic mode.
CUBIC_COEFFICIENT = -0.75
# Upsample, and Resize before opset 11, leave these open. ONNX's own cases of opset 10 and every engine have them so:
# the nearest place is the next one up where an axis becomes shorter, else the next one down.
EARLY: dict[str, Any] = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "simple"}
SYMMETRIC = "half_pixel_symmetric"
CROP = "tf_crop_and_resize"


class _Axis(NamedTuple):
    """One axis to be resized.

    Attributes:
        axis: its place.
        length: of the input.
        resized: of the output.
        scale: as given, or the output's length by the input's.
        start: of the region of interest, in lengths of the input.
        end: likewise.
    """

    axis: int
    length: int
    resized: int
    scale: float
    start: float
    end: float


@operator("Resize", since=11)
def _resize_11(
    x: Array, roi: Array | None = None, scales: Array | None = None, sizes: Array | None = None, **attributes: Any
) -> Array:
    """Interpolate at the places that the output's coordinates have in the input; Operators.md, Resize.

    Before opset 13 no input may be left out: `sizes` stands before empty `scales`; Changelog.md, Resize-11.
    """
    axes = [axis % x.ndim for axis in attributes.get("axes") or range(x.ndim)]
    count = len(axes)
    is_cropped = attributes["coordinate_transformation_mode"] == CROP
    regions = roi if is_cropped and roi is not None else np.repeat([0.0, 1.0], count)
    if sizes is not None and sizes.size:
        policy = attributes.get("keep_aspect_ratio_policy", "stretch")
        resized = _fit(sizes, [x.shape[axis] for axis in axes], policy=policy)
    else:
        assert scales is not None  # one of the two is given
        resized = [_scale(x.shape[axis], scale) for axis, scale in zip(axes, scales, strict=True)]
    plan = [
        _Axis(axis, x.shape[axis], *item, float(regions[index]), float(regions[count + index]))
        for index, (axis, item) in enumerate(zip(axes, resized, strict=True))
    ]
    return _resize(x, plan, attributes=attributes)


@operator("Resize", since=10, before=11)
@operator("Upsample", since=9)
def _upsample_9(x: Array, scales: Array, *, mode: str) -> Array:
    """Resize by `scales`, a number for each axis; Changelog.md, Upsample-9 and Resize-10."""
    return _resize_11(x, None, scales, mode=mode, **EARLY)


@operator("Upsample", since=7, before=9)
def _upsample_7(x: Array, *, mode: str, scales: list[float]) -> Array:
    """As in opset 9, the scales an attribute; Changelog.md, Upsample-7."""
    return _upsample_9(x, np.array(scales), mode=mode)


@operator("Upsample", before=7)
def _upsample_1(x: Array, *, mode: str, height_scale: float, width_scale: float) -> Array:
    """As in opset 9, of images `[N, C, H, W]`; Changelog.md, Upsample-1."""
    return _upsample_9(x, np.array([1, 1, height_scale, width_scale]), mode=mode.removeprefix("bi"))


def _scale(length: int, scale: float) -> tuple[int, float]:
    """Return an axis' new length and its scale.

    The product is one of float32, as ONNX Runtime, OpenVINO and tract have it: 10 by 0.7 is 7, where ONNX's evaluator
    (1.23) has 6. A region of interest does not shorten it anywhere, although the text multiplies by its extent.
    """
    return int(np.floor(np.float32(length) * np.float32(scale))), float(scale)


def _fit(sizes: Array, lengths: Sequence[int], *, policy: str) -> list[tuple[int, float]]:
    """Return each axis' new length and scale; Operators.md, Resize, `keep_aspect_ratio_policy`."""
    scales = [int(size) / length for size, length in zip(sizes, lengths, strict=True)]
    if policy == "stretch":
        return [(int(size), scale) for size, scale in zip(sizes, scales, strict=True)]
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [(int(scale * length + 0.5), scale) for length in lengths]


def _resize(x: Array, plan: Sequence[_Axis], *, attributes: Mapping[str, Any]) -> Array:
    result = x if x.dtype == np.float64 else x.astype(np.float64)
    outside = []
    for axis in plan:
        is_whole = (axis.start, axis.end) == (0, 1)
        if axis.scale == 1 and axis.length == axis.resized and is_whole:
            continue
        places = _places(axis, attributes["coordinate_transformation_mode"])
        result = _interpolate(result, axis, places=places, attributes=attributes)
        if attributes["coordinate_transformation_mode"] == CROP:
            outside.append((axis.axis, (places < 0) | (places > axis.length - 1)))
    for index, is_outside in outside:
        np.moveaxis(result, index, 0)[is_outside] = attributes["extrapolation_value"]
    return np.asarray(saturate_cast(result, x.dtype))


def _places(axis: _Axis, mode: str) -> Array:
    """Return where each of the output's coordinates lies in the input `[M]`; Operators.md, Resize, the modes.

    `length_resized` is the output's whole number of places, as the text has it and every engine takes it; ONNX's own
    evaluator (1.23) and its two cases of align_corners by a fraction take the length before it is rounded.
    """
    x, last = np.arange(axis.resized, dtype=np.float64), axis.length - 1
    exact = axis.length * axis.scale
    # By sizes, the scale is a quotient of whole numbers: one division less keeps halves what they are.
    unit, parts = (axis.length, axis.resized) if exact == axis.resized else (1, axis.scale)
    if mode == "asymmetric":
        return x * unit / parts
    if mode == "tf_half_pixel_for_nn":
        return (x + 0.5) * unit / parts
    if mode == "align_corners" or (mode == "pytorch_half_pixel" and axis.resized == 1):
        return x * last / max(axis.resized - 1, 1)
    if mode == CROP:
        middle = (axis.start + axis.end) / 2 if axis.resized == 1 else axis.start
        return middle * last + x * (axis.end - axis.start) * last / max(axis.resized - 1, 1)
    offset = axis.length / 2 * (1 - axis.resized / exact) if mode == SYMMETRIC else 0.0
    return offset + (x + 0.5) * unit / parts - 0.5


def _interpolate(x: Array, axis: _Axis, *, places: Array, attributes: Mapping[str, Any]) -> Array:
    """Return the weighted sums along one axis."""
    if attributes["mode"] == "nearest":
        indices = np.clip(_nearest(places, attributes["nearest_mode"], scale=axis.scale), 0, axis.length - 1)
        return np.take(x, indices, axis=axis.axis)
    indices, weights = _weigh(axis, places, attributes=attributes)
    shape = [-1 if index == axis.axis else 1 for index in range(x.ndim)]
    indices = np.clip(indices, 0, axis.length - 1)
    columns = [
        np.take(x, indices[:, k], axis=axis.axis) * weights[:, k].reshape(shape) for k in range(indices.shape[1])
    ]
    return np.asarray(sum(columns))


def _nearest(places: Array, mode: str, *, scale: float) -> Array:
    by_mode: dict[str, Callable[[Array], Array]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
        "simple": np.ceil if scale < 1 else np.floor,
    }
    return by_mode[mode](places).astype(np.int64)


def _weigh(axis: _Axis, places: Array, *, attributes: Mapping[str, Any]) -> tuple[Array, Array]:
    """Return the places `[M, K]` around each of `places`, which may lie outside, and their weights."""
    is_cubic = attributes["mode"] == "cubic"
    is_smoothed = bool(attributes.get("antialias"))
    stretch = min(axis.scale, 1.0) if is_smoothed else 1.0
    reach = int(np.ceil((2 if is_cubic else 1) / stretch))
    indices = np.floor(places).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    distances = np.abs(indices - places[:, None]) * stretch
    weights = _cubic_weights(distances, attributes["cubic_coeff_a"]) if is_cubic else np.maximum(1 - distances, 0)
    if attributes.get("exclude_outside"):
        weights = np.where((indices >= 0) & (indices < axis.length), weights, 0)
    if attributes.get("exclude_outside") or is_smoothed:
        weights /= weights.sum(axis=1, keepdims=True)
    return indices, weights


@operator("GridSample")
def _grid_sample(x: Array, grid: Array, *, align_corners: int, mode: str, padding_mode: str) -> Array:
    """Sample `[N, C, *D]` at `[N, *S, D]`, whose coordinates run from -1 to 1, the last axis first; GridSample-20.

    A neighbour that lies outside is zero, the nearest place of the border, or its reflection; so says PyTorch, after
    which the operator is made. ONNX's evaluator (1.23) moves the place itself to the border, also in cubic mode. Before
    opset 20 two modes are named `bilinear` and `bicubic`; Changelog.md, GridSample-16.
    """
    sizes = x.shape[2:]
    neighbours = []
    for size, coordinates in zip(sizes, np.moveaxis(grid[..., ::-1], -1, 0), strict=True):
        places = (coordinates + 1) / 2 * (size - 1) if align_corners else ((coordinates + 1) * size - 1) / 2
        neighbours.append(_places_around(places, mode.removeprefix("bi")))
    rows = np.moveaxis(x, 1, -1)
    batch = np.arange(len(x)).reshape(-1, *[1] * len(sizes))
    total: Any = 0
    for chosen in itertools.product(*[list(zip(*item, strict=True)) for item in neighbours]):
        weight = np.ones(grid.shape[:-1], x.dtype)
        inside = []
        for size, (index, own) in zip(sizes, chosen, strict=True):
            moved = _pad(index, size, mode=padding_mode, align_corners=bool(align_corners))
            weight = weight * np.where((moved >= 0) & (moved < size), own, 0)
            inside.append(np.clip(moved, 0, size - 1))
        total = total + rows[(batch, *inside)] * weight[..., None]
    return np.asarray(np.moveaxis(total, -1, 1), x.dtype)


@operator("AffineGrid")
def _affine_grid(theta: Array, size: Array, *, align_corners: int) -> Array:
    """Return theta `[N, D, D + 1]` applied to an even grid of -1 to 1: `[N, *S, D]`; Operators.md, AffineGrid.

    Raises:
        ValueError: the one place of an axis is to be both corners, -1 and 1, of which the standard says nothing.
    """
    sizes = [int(length) for length in size[2:]]
    if align_corners and 1 in sizes:
        raise ValueError("AffineGrid with align_corners=1 has no value for an axis of one place")
    axes = [_even(length, align_corners=bool(align_corners)).astype(theta.dtype) for length in sizes]
    base = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(sizes, theta.dtype)], axis=-1)
    result: Array = np.einsum("ndk,...k->n...d", theta, base)
    return result


def _even(length: int, *, align_corners: bool) -> Array:
    return np.linspace(-1, 1, length) if align_corners else (2 * np.arange(length) + 1) / length - 1


def _places_around(places: Array, mode: str) -> tuple[Sequence[Array], Sequence[Array]]:
    """Return the whole places that count for each place, and their weights."""
    if mode == "nearest":
        return [np.rint(places).astype(np.int64)], [np.ones_like(places)]
    lowest = np.floor(places).astype(np.int64)
    indices = [lowest + offset for offset in (range(-1, 3) if mode == "cubic" else range(2))]
    distances = [np.abs(places - index).astype(places.dtype) for index in indices]
    if mode == "cubic":
        return indices, [_cubic_weights(distance, CUBIC_COEFFICIENT) for distance in distances]
    return indices, [1 - distance for distance in distances]


def _pad(index: Array, size: int, *, mode: str, align_corners: bool) -> Array:
    """Move places that lie outside; with `zeros` they stay outside."""
    if mode == "zeros":
        return index
    if mode == "border":
        return np.clip(index, 0, size - 1)
    # Mirrors stand at the centres of the border's places, or at their outer edges.
    period = 2 * (size - 1) if align_corners else 2 * size
    if period == 0:
        return np.zeros_like(index)
    back = index % period
    return np.asarray(np.minimum(back, period - back if align_corners else period - 1 - back))


def _cubic_weights(distances: Array, a: float) -> Array:
    """Return equation (4) of Keys, "Cubic convolution interpolation", 1981."""
    near = ((a + 2) * distances - (a + 3)) * distances**2 + 1
    far = ((a * distances - 5 * a) * distances + 8 * a) * distances - 4 * a
    return np.where(distances <= 1, near, np.where(distances < 2, far, 0))
