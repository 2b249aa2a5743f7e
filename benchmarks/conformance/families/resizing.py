"""Resize and Upsample: every opset and mode, upwards, downwards and to one place.

The scales keep clear of halves, where float32 decides between two places.
"""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Array, Case, one_node, values, versions_of

COORDINATES = {
    "half_pixel": 11,
    "pytorch_half_pixel": 11,
    "align_corners": 11,
    "asymmetric": 11,
    "tf_crop_and_resize": 11,
    "half_pixel_symmetric": 19,
}
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
SCALES = {"up": (1, 1, 2, 1.62), "down": (1, 1, 0.58, 0.43), "to one": (1, 1, 0.28, 0.23)}
# The opsets in which every mode meets every scale.
FULL = {11, 19}
X = (1, 2, 4, 5)
CROP = "tf_crop_and_resize"
REGION = np.array([0, 0, 0.21, 0.1, 1, 1, 0.9, 1.3], np.float32)


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    yield from _early()
    for opset in versions_of("Resize", since=11):
        modes = [mode for mode, since in COORDINATES.items() if opset >= since]
        for coordinates in [*modes, *(["tf_half_pixel_for_nn"] if opset < 13 else [])]:
            yield from _modern(opset, coordinates)
        yield _resize(opset, scales=(1, 1, 1.62, 0.71), label="default")
        yield _resize(opset, scales=(1, 1, 1.62, 0.71), mode="cubic", cubic_coeff_a=-0.5)
        yield _resize(opset, size=(10, 10), scales=(0.9, 0.7), mode="linear", label="length of float32")
        if opset in {18, 19}:
            yield from _newest(opset)


def _early() -> Iterator[Case]:
    x = values("Upsample").normal(*X)
    up, down = (np.array(scales, np.float32) for scales in ((1, 1, 2, 1.62), (1, 1, 0.58, 0.43)))
    for mode in ("nearest", "linear"):
        name = "bilinear" if mode == "linear" else mode
        yield one_node("Upsample", x, opset=1, mode=name, height_scale=2.0, width_scale=3.0)
        yield one_node("Upsample", x, opset=7, mode=mode, scales=up.tolist())
        yield one_node("Upsample", x[0, 0], opset=7, mode=mode, scales=[1.5, 2.0])
        yield one_node("Upsample", x, up, opset=9, mode=mode)
        for label, scales in (("up", up), ("down", down)):
            yield one_node("Resize", x, scales, opset=10, mode=mode, label=label)


def _modern(opset: int, coordinates: str) -> Iterator[Case]:
    options = {"coordinate_transformation_mode": coordinates}
    if coordinates == CROP:
        options["extrapolation_value"] = 3.5  # type: ignore[assignment]  # attributes are of any type
    for label, scales in SCALES.items() if opset in FULL else [("up", SCALES["up"])]:
        for nearest in NEAREST:
            yield _resize(opset, label=label, scales=scales, mode="nearest", nearest_mode=nearest, **options)
        for mode in ("linear", "cubic"):
            yield _resize(opset, label=label, scales=scales, mode=mode, **options)
    if opset not in FULL:
        return
    yield _resize(opset, label="up", scales=SCALES["up"], mode="cubic", exclude_outside=1, **options)
    for mode in ("nearest", "linear", "cubic"):
        yield _resize(opset, sizes=(1, 2, 7, 3), label="sizes", mode=mode, **options)
    if coordinates != CROP:
        yield _resize(opset, size=(1, 1, 3, 4, 5), scales=(1, 1, 1.4, 2, 0.71), mode="linear", **options)
        yield _resize(opset, size=(4, 6), scales=(1.43, 0.71), mode="nearest", **options)


def _newest(opset: int) -> Iterator[Case]:
    for mode in ("linear", "cubic"):
        for coordinates in ("half_pixel", "align_corners", "asymmetric"):
            for excludes in (0, 1):
                for label in ("up", "down"):
                    yield _resize(
                        opset,
                        label=label,
                        scales=SCALES[label],
                        mode=mode,
                        antialias=1,
                        exclude_outside=excludes,
                        coordinate_transformation_mode=coordinates,
                    )
    for mode in ("nearest", "linear", "cubic"):
        yield _resize(opset, scales=(0.58, 2), mode=mode, axes=[3, 2])
        yield _resize(opset, sizes=(3, 8), mode=mode, axes=[-1, -2], label="sizes")
        for policy in ("stretch", "not_larger", "not_smaller"):
            yield _resize(opset, sizes=(7, 11), mode=mode, axes=[2, 3], keep_aspect_ratio_policy=policy, label="sizes")


def _resize(
    opset: int,
    *,
    size: tuple[int, ...] = X,
    scales: tuple[float, ...] | None = None,
    sizes: tuple[int, ...] | None = None,
    **options: Any,
) -> Case:
    roi: Array | None = REGION if options.get("coordinate_transformation_mode") == CROP else None
    scaled = None if scales is None else np.array(scales, np.float32)
    if opset < 13:  # no input may be left out yet
        roi = np.zeros(0, np.float32) if roi is None else roi
        scaled = np.zeros(0, np.float32) if scaled is None else scaled
    arrays = [values(f"Resize{size}").normal(*size), roi, scaled]
    return one_node("Resize", *arrays, *([] if sizes is None else [np.array(sizes)]), opset=opset, **options)
