"""Operators that move values without computing anything: what rounding did to a value moves with it."""

from __future__ import annotations

__all__ = ["concatenate", "pad", "reshape", "slice_axes", "transpose", "unsqueeze"]

from typing import Any

import numpy as np

from toolkit.errors import ModelError
from toolkit.runtimes.rounding import Rounded

Attributes = dict[str, Any]


def concatenate(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    """Concat: join along `axis`."""
    axis = attributes["axis"]
    return Rounded(*(np.concatenate(parts, axis) for parts in zip(*inputs, strict=True)))


def pad(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    """Pad with zeros along every axis.

    Raises:
        ModelError: another mode, another value, only some axes, or negative sizes.
    """
    widths = inputs[1].value.astype(int).reshape(2, -1)
    is_zero = len(inputs) < 3 or not inputs[2].value.any()
    is_whole = len(inputs) < 4 and widths.shape[1] == inputs[0].value.ndim and (widths >= 0).all()
    if attributes.get("mode", b"constant") != b"constant" or not is_zero or not is_whole:
        raise ModelError("the rounding formula knows Pad with zeros, of every axis, only")
    return Rounded(*(np.pad(part, widths.T) for part in inputs[0]))


def slice_axes(inputs: list[Rounded], _: Attributes, __: float) -> Rounded:
    """Slice: cut along the axes named, or the first ones."""
    starts, ends = (item.value.astype(int) for item in inputs[1:3])
    axes = inputs[3].value.astype(int) if len(inputs) > 3 else np.arange(len(starts))
    steps = inputs[4].value.astype(int) if len(inputs) > 4 else np.ones_like(starts)
    cut = [slice(None)] * inputs[0].value.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(int(start), int(end), int(step))
    return Rounded(*(part[tuple(cut)] for part in inputs[0]))


def unsqueeze(inputs: list[Rounded], _: Attributes, __: float) -> Rounded:
    """Unsqueeze: add axes of length 1."""
    axes = tuple(inputs[1].value.astype(int))
    return Rounded(*(np.expand_dims(part, axes) for part in inputs[0]))


def transpose(inputs: list[Rounded], attributes: Attributes, _: float) -> Rounded:
    """Transpose: permute the axes."""
    return Rounded(*(part.transpose(attributes["perm"]) for part in inputs[0]))


def reshape(inputs: list[Rounded], _: Attributes, __: float) -> Rounded:
    """Reshape: 0 keeps a side, -1 takes what is left."""
    shape = [
        inputs[0].value.shape[axis] if size == 0 else size for axis, size in enumerate(inputs[1].value.astype(int))
    ]
    return Rounded(*(part.reshape(shape) for part in inputs[0]))
