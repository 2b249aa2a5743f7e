"""GridSample and AffineGrid, both of PyTorch."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from conformance.cases import Case, one_node, values, versions_of

EARLY = {"linear": "bilinear", "nearest": "nearest", "cubic": "bicubic"}


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    import torch

    drawn = values("sampling")
    image, volume = drawn.normal(2, 2, 4, 5), drawn.normal(1, 2, 3, 4, 5)
    places, deep = drawn.normal(2, 3, 4, 2), drawn.normal(1, 2, 3, 4, 3)
    places[0, 0, :3] = [[-1, -1], [1, 1], [0, 0]]
    for opset in versions_of("GridSample"):
        yield one_node("GridSample", image, places, opset=opset, label="default")
        for mode, early in EARLY.items():
            for padding in ("zeros", "border", "reflection"):
                for corners in (0, 1):
                    options: dict[str, Any] = {"padding_mode": padding, "align_corners": corners}
                    named = early if opset < 20 else mode
                    by_torch = _sampler(early, padding, bool(corners))
                    yield one_node("GridSample", image, places, opset=opset, mode=named, torch=by_torch, **options)
                    if opset >= 20 and mode != "cubic":
                        yield one_node("GridSample", volume, deep, opset=opset, mode=named, torch=by_torch, **options)
    for corners in (0, 1):
        for theta, size in ((drawn.normal(2, 2, 3), [2, 3, 4, 5]), (drawn.normal(1, 3, 4), [1, 2, 3, 4, 5])):
            yield one_node(
                "AffineGrid",
                theta,
                np.array(size),
                opset=20,
                align_corners=corners,
                torch=lambda theta, size, corners=bool(corners): torch.nn.functional.affine_grid(
                    theta, size.tolist(), align_corners=corners
                ),
            )


def _sampler(mode: str, padding: str, align_corners: bool) -> Callable[..., Any]:
    import torch

    return lambda x, grid: torch.nn.functional.grid_sample(x, grid, mode, padding, align_corners)
