"""Regions of images: RoiAlign, MaxRoiPool and NonMaxSuppression.

Shapes: N images, C channels, R regions, B boxes.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from toolkit.runtimes.references.operators.declared import Array, operator


@operator("RoiAlign")
def _roi_align(x: Array, rois: Array, batch_indices: Array, **attributes: Any) -> Array:
    """Pool a grid of interpolated places in each cell of each region `[R, 4]`; Operators.md, RoiAlign.

    Before opset 16 no half pixel is taken off, where the evaluator (1.23) takes it. `max` is the largest of a place's
    four weighted neighbours, as in ONNX's own cases and ONNX Runtime; the text leaves it open.
    """
    sizes = (attributes["output_height"], attributes["output_width"])
    is_shifted = attributes.get("coordinate_transformation_mode") == "half_pixel"
    regions = rois * attributes["spatial_scale"] - (0.5 if is_shifted else 0.0)
    result = np.zeros((len(rois), x.shape[1], *sizes), x.dtype)
    for index, (region, image) in enumerate(zip(regions, batch_indices, strict=True)):
        rows, columns = (
            _neighbours(
                region[axis],
                region[axis + 2] - region[axis] if is_shifted else max(region[axis + 2] - region[axis], 1),
                counts=(count, attributes["sampling_ratio"], length),
            )
            for axis, count, length in zip((1, 0), sizes, x.shape[2:], strict=True)
        )
        corners = [
            x[image][:, row][:, :, column] * (height[:, None] * width)
            for (row, height), (column, width) in itertools.product(rows, columns)
        ]
        if corners[0].size:
            places = np.asarray(sum(corners)) if attributes["mode"] == "avg" else np.max(corners, axis=0)
            grid = places.reshape(x.shape[1], sizes[0], -1, sizes[1], places.shape[2] // sizes[1])
            result[index] = grid.mean(axis=(2, 4)) if attributes["mode"] == "avg" else grid.max(axis=(2, 4))
    return result


def _neighbours(start: float, extent: float, *, counts: tuple[int, int, int]) -> list[tuple[Array, Array]]:
    """Return the lower and the upper neighbours of a region's places along one axis, and their weights.

    Args:
        start: where the region begins.
        extent: how long it is.
        counts: the cells, the places in each (0 for one a pixel), the axis' length.
    """
    cells, ratio, length = counts
    places = cells * (ratio or max(int(np.ceil(extent / cells)), 0))
    at = start + (np.arange(places) + 0.5) * extent / max(places, 1)
    is_inside = (at >= -1) & (at <= length)
    low = np.clip(np.floor(at), 0, length - 1).astype(np.int64)
    upper_weight = np.clip(at, 0, length - 1) - low
    high = np.minimum(low + 1, length - 1)
    return [(low, np.where(is_inside, 1 - upper_weight, 0)), (high, np.where(is_inside, upper_weight, 0))]


@operator("MaxRoiPool")
def _max_roi_pool(x: Array, rois: Array, *, pooled_shape: list[int], spatial_scale: float) -> Array:
    """Return each cell's largest number, of regions `[R, 5]` that begin with their image; Operators.md, MaxRoiPool.

    The rounding is that of the paper that the operator is from, Girshick, "Fast R-CNN", 2015, and of the engines:
    corners to whole places, both within; cells from floor to ceil, those without a place give 0.
    """
    result = np.zeros((len(rois), x.shape[1], *pooled_shape), x.dtype)
    for index, roi in enumerate(rois):
        corners = np.floor(roi[1:] * spatial_scale + 0.5).astype(np.int64)
        image = x[int(roi[0])]
        rows, columns = (
            _cells(corners[axis], corners[axis + 2], count=count, length=length)
            for axis, count, length in zip((1, 0), pooled_shape, x.shape[2:], strict=True)
        )
        for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
            cell = image[:, row, column]
            if cell.size:
                result[index, :, i, j] = cell.max(axis=(1, 2))
    return result


def _cells(first: int, last: int, *, count: int, length: int) -> list[slice]:
    width = max(last - first + 1, 1)
    edges = [(index * width // count, -(-(index + 1) * width // count)) for index in range(count)]
    return [slice(*(int(np.clip(edge + first, 0, length)) for edge in pair)) for pair in edges]


@operator("NonMaxSuppression")
def _non_max_suppression(
    boxes: Array,
    scores: Array,
    max_output_boxes_per_class: Array | None = None,
    iou_threshold: Array | None = None,
    score_threshold: Array | None = None,
    *,
    center_point_box: int,
) -> Array:
    """Return `[selected, 3]`: image, class and box, best score first; Operators.md, NonMaxSuppression.

    What is left out of the inputs is 0 boxes, an overlap of 0 and every score. The evaluator (1.23) wants them all.
    """
    most = 0 if max_output_boxes_per_class is None else int(np.asarray(max_output_boxes_per_class).item())
    overlap = 0.0 if iou_threshold is None else float(np.asarray(iou_threshold).item())
    least = -np.inf if score_threshold is None else float(np.asarray(score_threshold).item())
    selected = []
    for image, of_image in enumerate(scores):
        corners = _corners(boxes[image], is_centred=bool(center_point_box))
        for kind, of_kind in enumerate(of_image):
            left = [box for box in np.argsort(-of_kind, kind="stable") if of_kind[box] > least]
            for _ in range(most):
                if not left:
                    break
                best, *rest = left
                selected.append((image, kind, best))
                left = [box for box in rest if _overlap(corners[best], corners[box]) <= overlap]
    return np.array(selected, np.int64).reshape(-1, 3)


def _corners(boxes: Array, *, is_centred: bool) -> Array:
    """Return each box's lower and upper corner `[B, 2, 2]`; given are corners in any order, or centre and size."""
    if is_centred:
        centres, halves = boxes[:, :2], boxes[:, 2:] / 2
        return np.stack([centres - halves, centres + halves], axis=1)
    pairs = boxes.reshape(-1, 2, 2)
    return np.stack([pairs.min(axis=1), pairs.max(axis=1)], axis=1)


def _overlap(one: Array, other: Array) -> float:
    """Return the area of the intersection by that of the union; 0 where a box has no area."""
    sides = np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])
    areas = [float(np.prod(box[1] - box[0])) for box in (one, other)]
    if min(areas) <= 0 or sides.min() <= 0:
        return 0.0
    common = float(np.prod(sides))
    return common / (sum(areas) - common)
