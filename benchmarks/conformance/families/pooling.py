"""Pooling: sizes, strides, every padding, dilations, rounding up, counted padding, places of maxima, whole maps."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

from conformance.cases import Case, one_node, values, versions_of

SPATIAL = {1: (11,), 2: (7, 8), 3: (5, 6, 4)}


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for op_type in ("MaxPool", "AveragePool", "LpPool"):
        for opset in versions_of(op_type):
            for options in _windows(op_type, opset):
                yield _pool(op_type, opset, options)
            if op_type == "MaxPool" and opset >= 8:
                yield from _places(opset)
    for op_type in ("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"):
        for opset in versions_of(op_type):
            for rank, sizes in SPATIAL.items():
                x = values(op_type).normal(2, 3, *sizes)
                yield one_node(op_type, x, opset=opset, torch=_global_torch(op_type, rank))
            if op_type == "GlobalLpPool":
                power = 3.0 if opset == 1 else 3
                yield one_node(op_type, values(op_type).normal(2, 3, 4), opset=opset, torch=_cubed, p=power)
    for opset in versions_of("MaxUnpool"):
        yield from _unpool(opset)


def _windows(op_type: str, opset: int) -> Iterator[dict[str, Any]]:
    yield {"kernel_shape": [3]}
    yield {"kernel_shape": [3, 2]}
    yield {"kernel_shape": [2, 3, 2]}
    yield {"kernel_shape": [3, 2], "strides": [2, 3]}
    yield {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2]}
    yield {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}
    yield {"kernel_shape": [2, 3, 3], "pads": [0, 1, 1, 1, 0, 1], "strides": [1, 2, 1]}
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield {"kernel_shape": [2, 3], "auto_pad": auto}
        yield {"kernel_shape": [3, 4], "auto_pad": auto, "strides": [2, 3]}
        yield {"kernel_shape": [4], "auto_pad": auto, "strides": [3]}
        yield {"kernel_shape": [2, 2, 3], "auto_pad": auto, "strides": [2, 1, 2]}
    if op_type == "LpPool":
        yield {"kernel_shape": [3, 2], "p": 3.0 if opset == 1 else 3}
        yield {"kernel_shape": [3, 2], "p": 1.0 if opset == 1 else 1, "pads": [1, 1, 1, 1]}
    if op_type == "AveragePool" and opset >= 7:
        yield {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2], "count_include_pad": 1}
        yield {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1}
        yield {"kernel_shape": [3, 2], "auto_pad": "SAME_UPPER", "count_include_pad": 1}
    if opset >= {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}[op_type]:
        yield {"kernel_shape": [2], "strides": [3], "ceil_mode": 1}
        yield {"kernel_shape": [3, 2], "strides": [3, 3], "ceil_mode": 1}
        yield {"kernel_shape": [3, 3], "strides": [2, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1}
        yield {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [0, 0, 1, 1], "ceil_mode": 1}
        yield {"kernel_shape": [2, 2, 3], "strides": [2, 2, 2], "ceil_mode": 1}
        if op_type == "AveragePool":
            counted = {"count_include_pad": 1, "ceil_mode": 1}
            yield {"kernel_shape": [3, 3], "strides": [2, 3], "pads": [1, 1, 1, 1], **counted}
            yield {"kernel_shape": [2], "strides": [3], **counted}
    if opset >= {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[op_type]:
        yield {"kernel_shape": [3], "dilations": [3]}
        yield {"kernel_shape": [3, 2], "dilations": [2, 3]}
        yield {"kernel_shape": [3, 2], "dilations": [2, 3], "pads": [2, 1, 0, 1], "strides": [2, 1]}
        yield {"kernel_shape": [2, 2, 2], "dilations": [2, 1, 3]}
        yield {"kernel_shape": [2, 3], "dilations": [2, 2], "auto_pad": "SAME_UPPER"}
        yield {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [3, 2], "ceil_mode": 1}


def _pool(op_type: str, opset: int, options: dict[str, Any]) -> Case:
    x = values(op_type).normal(2, 3, *SPATIAL[len(options["kernel_shape"])])
    return one_node(op_type, x, opset=opset, torch=_torch(op_type, options), **options)


def _torch(op_type: str, options: dict[str, Any]) -> Any:
    """Return PyTorch's answer where it pads alike on both sides and rounds as the standard does."""
    import torch

    rank = len(options["kernel_shape"])
    pads = options.get("pads", [0] * 2 * rank)
    if "auto_pad" in options or pads[:rank] != pads[rank:] or "ceil_mode" in options or op_type == "LpPool":
        return None
    given = {"kernel_size": options["kernel_shape"], "stride": options.get("strides", 1), "padding": pads[:rank]}
    if op_type == "MaxPool":
        function = getattr(torch.nn.functional, f"max_pool{rank}d")
        return lambda x: function(x, dilation=options.get("dilations", 1), **given)
    if "dilations" in options:
        return None
    function = getattr(torch.nn.functional, f"avg_pool{rank}d")
    return lambda x: function(x, count_include_pad=bool(options.get("count_include_pad", 0)), **given)


def _places(opset: int) -> Iterator[Case]:
    for order in (0, 1):
        for sizes, kernel in (((11,), [3]), ((7, 8), [3, 2]), ((5, 6, 4), [2, 3, 2])):
            x = values("places").normal(2, 3, *sizes)
            strides = [2] * len(kernel)
            options = {"storage_order": order} if order else {}
            yield one_node("MaxPool", x, opset=opset, outputs=2, kernel_shape=kernel, strides=strides, **options)
    x = values("places").normal(1, 2, 5, 6)
    yield one_node("MaxPool", x, opset=opset, outputs=2, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    if opset >= 10:
        yield one_node("MaxPool", x, opset=opset, outputs=2, kernel_shape=[2, 2], dilations=[2, 2])


def _unpool(opset: int) -> Iterator[Case]:
    import numpy as np

    x = values("MaxUnpool").normal(1, 1, 2, 2)
    places = np.array([[[[5, 7], [13, 15]]]])
    yield one_node("MaxUnpool", x, places, opset=opset, kernel_shape=[2, 2], strides=[2, 2])
    sizes = np.array([1, 1, 5, 5])
    yield one_node(
        "MaxUnpool", x, places, sizes, opset=opset, label="sized", torch=_sized, kernel_shape=[2, 2], strides=[2, 2]
    )


def _sized(x: Any, places: Any, sizes: Any) -> Any:
    import torch

    return torch.nn.functional.max_unpool2d(x, places, 2, 2, output_size=sizes.tolist())


def _cubed(x: Any) -> Any:
    return x.abs().pow(3).sum(tuple(range(2, x.ndim)), True).pow(1 / 3)


def _global_torch(op_type: str, rank: int) -> Any:
    axes = tuple(range(2, 2 + rank))
    return {
        "GlobalMaxPool": lambda x: x.amax(axes, True),
        "GlobalAveragePool": lambda x: x.mean(axes, True),
        "GlobalLpPool": lambda x: x.square().sum(axes, True).sqrt(),
    }[op_type]
