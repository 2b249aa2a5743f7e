"""RoiAlign, MaxRoiPool and NonMaxSuppression."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Case, one_node, values, versions_of

ROIS = np.array([[0, 0, 3, 4], [1, 1, 2.5, 2], [0.3, 0.7, 4.2, 3.1], [-1, -2, 2, 2]], np.float32)
POOLED = np.array([[0, 0, 0, 3, 4], [1, 1, 1, 6, 5], [0, 2, 2, 2, 2], [1, 5, 4, 17, 9]], np.float32)


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    drawn = values("regions")
    x, image = drawn.normal(2, 3, 5, 6), np.array([0, 1, 1, 0])
    for opset in versions_of("RoiAlign"):
        for mode in ("avg", "max"):
            for ratio in (0, 1, 2):
                options: dict[str, Any] = {"output_height": 2, "output_width": 3, "spatial_scale": 0.9}
                yield one_node("RoiAlign", x, ROIS, image, opset=opset, mode=mode, sampling_ratio=ratio, **options)
        yield one_node("RoiAlign", x, ROIS, image, opset=opset, label="default")
        if opset >= 16:
            for shift in ("half_pixel", "output_half_pixel"):
                yield one_node("RoiAlign", x, ROIS, image, opset=opset, coordinate_transformation_mode=shift)
    for opset in versions_of("MaxRoiPool"):
        for scale in (1.0, 0.5):
            yield one_node("MaxRoiPool", x, POOLED, opset=opset, pooled_shape=[2, 3], spatial_scale=scale)
    for opset in versions_of("NonMaxSuppression"):
        yield from _non_max_suppression(opset)


def _non_max_suppression(opset: int) -> Iterator[Case]:
    drawn = values("boxes")
    low = drawn.normal(2, 9, 2)
    boxes = np.concatenate([low, low + drawn.positive(2, 9, 2)], axis=2)
    boxes[0, 0] = boxes[0, 0, [2, 3, 0, 1]]  # corners in another order
    scores = (np.argsort(drawn.normal(2, 3, 9), axis=2) / 9).astype(np.float32)
    limits = {
        "all": [np.array([3]), np.array([0.4], np.float32), np.array([0.3], np.float32)],
        "scalars": [np.array(3), np.float32(0.4), np.float32(0.3)],
        "no least score": [np.array([9]), np.array([0.1], np.float32)],
        "no overlap": [np.array([3])],
        "no boxes": [],
        "only the least score": [np.array([9]), None, np.array([0.5], np.float32)],
    }
    for label, given in limits.items():
        arrays = [None if item is None else np.asarray(item) for item in given]
        yield one_node("NonMaxSuppression", boxes, scores, *arrays, opset=opset, fed=2, label=label)
    centred = np.concatenate([low, drawn.positive(2, 9, 2)], axis=2)
    yield one_node(
        "NonMaxSuppression",
        centred,
        scores,
        np.array([3]),
        np.array([0.3], np.float32),
        opset=opset,
        fed=2,
        center_point_box=1,
    )
    ties = np.full((2, 1, 9), 0.5, np.float32)
    yield one_node(
        "NonMaxSuppression", boxes, ties, np.array([5]), np.array([0.5], np.float32), opset=opset, fed=2, label="ties"
    )
