"""Convolutions and their transposes: sizes, strides, every padding, dilations, groups, given output sizes, 8 bits."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

from conformance.cases import Case, one_node, values, versions_of

SPATIAL = {1: (9,), 2: (7, 6), 3: (4, 5, 4)}
KERNEL = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for opset in versions_of("Conv"):
        for rank in SPATIAL:
            for options in _options(rank):
                yield _conv(opset, rank, options)
    for opset in versions_of("ConvTranspose"):
        for rank in SPATIAL:
            for options in (*_options(rank), *_transposed_options(rank)):
                yield _transposed(opset, rank, options)
    for opset in versions_of("DeformConv"):
        yield from _deformed(opset)
    for opset in versions_of("Col2Im"):
        yield from _col2im(opset)
    yield from _causal()


def _options(rank: int) -> Iterator[dict[str, Any]]:
    yield {}
    yield {"bias": True}
    yield {"strides": [2, 3, 1][:rank]}
    yield {"pads": [1, 2, 0][:rank] + [2, 0, 1][:rank]}
    yield {"dilations": [2, 3, 1][:rank], "pads": [2, 2, 2][:rank] * 2}
    yield {"group": 2, "bias": True}
    yield {"group": 4}
    yield {"strides": [2, 2, 2][:rank], "pads": [1, 1, 1][:rank] * 2, "dilations": [2, 1, 1][:rank], "group": 2}
    for auto in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield {"auto_pad": auto}
        yield {"auto_pad": auto, "strides": [2, 2, 3][:rank]}
    yield {"auto_pad": "SAME_LOWER", "dilations": [2, 1, 1][:rank]}
    yield {"named": True}


def _transposed_options(rank: int) -> Iterator[dict[str, Any]]:
    strides = [2, 3, 2][:rank]
    yield {"strides": strides, "output_padding": [1, 2, 0][:rank]}
    # Each leaves an odd number of elements to cut somewhere.
    one, more = {1: [18], 2: [14, 16], 3: [7, 14, 8]}[rank], {1: [16], 2: [12, 13], 3: [5, 12, 7]}[rank]
    yield {"strides": strides, "output_shape": one}
    for auto in ("SAME_UPPER", "SAME_LOWER"):
        yield {"strides": strides, "output_shape": more, "auto_pad": auto}
    yield {"strides": strides, "output_shape": more, "group": 2}


def _conv(opset: int, rank: int, options: dict[str, Any]) -> Case:
    drawn = values(f"Conv{rank}")
    rest = dict(options)
    group, has_bias = rest.get("group", 1), rest.pop("bias", False)
    if rest.pop("named", False):
        rest["kernel_shape"] = list(KERNEL[rank])
    x, weight = drawn.normal(2, 4, *SPATIAL[rank]), drawn.normal(8, 4 // group, *KERNEL[rank])
    arrays = [x, weight, *([drawn.normal(8)] if has_bias else [])]
    label = "bias" if has_bias else ""
    return one_node("Conv", *arrays, opset=opset, label=label, torch=_torch(rank, rest, "conv"), **rest)


def _transposed(opset: int, rank: int, options: dict[str, Any]) -> Case:
    drawn = values(f"ConvTranspose{rank}")
    rest = dict(options)
    group, has_bias = rest.get("group", 1), rest.pop("bias", False)
    if rest.pop("named", False):
        rest["kernel_shape"] = list(KERNEL[rank])
    x, weight = drawn.normal(2, 4, *SPATIAL[rank]), drawn.normal(4, 6 // 2 if group < 4 else 2, *KERNEL[rank])
    arrays = [x, weight, *([drawn.normal(weight.shape[1] * group)] if has_bias else [])]
    label = "bias" if has_bias else ""
    torch = _torch(rank, rest, "conv_transpose")
    return one_node("ConvTranspose", *arrays, opset=opset, label=label, torch=torch, **rest)


def _torch(rank: int, options: dict[str, Any], kind: str) -> Any:
    import torch

    pads = options.get("pads", [0] * 2 * rank)
    if {"auto_pad", "output_shape"} & set(options) or pads[:rank] != pads[rank:]:
        return None
    function = getattr(torch.nn.functional, f"{kind}{rank}d")
    given = {"padding": pads[:rank], "groups": options.get("group", 1)}
    given |= {"stride": options.get("strides", 1), "dilation": options.get("dilations", 1)}
    if "output_padding" in options:
        given["output_padding"] = options["output_padding"]
    return lambda x, weight, bias=None: function(x, weight, bias, **given)


def _deformed(opset: int) -> Iterator[Case]:
    drawn = values("DeformConv")
    x, weight = drawn.normal(1, 4, 5, 6), drawn.normal(2, 4, 2, 2)
    offset = drawn.normal(1, 8, 4, 5)
    yield one_node("DeformConv", x, weight, offset, opset=opset, fed=3)
    arrays = (x, weight, offset, drawn.normal(2), drawn.positive(1, 4, 4, 5))
    yield one_node("DeformConv", *arrays, opset=opset, fed=3, label="bias and mask")
    grouped = (x, drawn.normal(2, 2, 2, 2), drawn.normal(1, 16, 4, 5))
    yield one_node("DeformConv", *grouped, opset=opset, fed=3, label="groups", group=2, offset_group=2)
    padded = (x, weight, drawn.normal(1, 8, 3, 3))
    options = {"pads": [1, 0, 1, 1], "strides": [2, 2], "dilations": [1, 2]}
    yield one_node("DeformConv", *padded, opset=opset, fed=3, **options)


def _col2im(opset: int) -> Iterator[Case]:
    import numpy as np

    drawn = values("Col2Im")
    sizes, block = np.array([5, 5]), np.array([1, 5])
    yield one_node("Col2Im", drawn.normal(1, 5, 5), sizes, block, opset=opset)
    yield one_node("Col2Im", drawn.normal(1, 8, 9), np.array([6, 6]), np.array([2, 2]), opset=opset, strides=[2, 2])
    padded = {"pads": [0, 1, 0, 1], "dilations": [2, 1]}
    yield one_node("Col2Im", drawn.normal(2, 8, 18), np.array([5, 5]), np.array([2, 2]), opset=opset, **padded)


def _causal() -> Iterator[Case]:
    """Yield a deep dilation: what spreads it into zeros needs a thousand times the weights."""
    drawn = values("causal")
    x, weight = drawn.normal(1, 2, 3000), drawn.normal(2, 2, 3)
    options = {"dilations": [1024]}
    yield one_node("Conv", x, weight, opset=18, torch=_torch(1, options, "conv"), **options)
