"""Operators that move elements: reshaping, padding, slicing, splitting, gathering, tiling, making."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import numpy_helper

from conformance.cases import Array, Case, one_node, values, versions_of


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    x = values("shaping").normal(2, 3, 4)
    for make in (_axes, _slice, _pad, _split, _joined, _reshape, _gathered, _rearranged, _made, _dropout, _found):
        yield from make(x)


def _axes(x: Array) -> Iterator[Case]:
    for opset in versions_of("Squeeze"):
        thin = x.reshape(2, 1, 3, 1, 4)
        for axes in ([1], [1, 3], [-2]):
            if axes != [-2] or opset >= 11:
                yield _by_axes("Squeeze", thin, axes, opset)
        yield one_node("Squeeze", thin, opset=opset, label="all")
    for opset in versions_of("Unsqueeze"):
        for axes in ([0], [1, 3], [4, 0], [-1]):
            if axes != [-1] or opset >= 11:
                yield _by_axes("Unsqueeze", x, axes, opset)
    for opset in versions_of("Flatten"):
        for axis in (0, 1, 2, 3) if opset < 11 else (0, 2, 3, -1):
            yield one_node("Flatten", x, opset=opset, axis=axis)
        yield one_node("Flatten", x, opset=opset)
    for opset in versions_of("Transpose"):
        yield one_node("Transpose", x, opset=opset)
        yield one_node("Transpose", x, opset=opset, perm=[1, 2, 0])


def _by_axes(op_type: str, x: Array, axes: list[int], opset: int) -> Case:
    if opset < 13:
        return one_node(op_type, x, opset=opset, axes=axes)
    return one_node(op_type, x, np.array(axes), opset=opset, label=f"axes {axes}")


def _slice(x: Array) -> Iterator[Case]:
    for opset in versions_of("Slice"):
        if opset < 10:
            yield one_node("Slice", x, opset=opset, starts=[0, 1], ends=[1, 3])
            yield one_node("Slice", x, opset=opset, starts=[1], ends=[1000], axes=[2])
            yield one_node("Slice", x, opset=opset, starts=[-3, 0], ends=[-1, 2], axes=[2, 1])
            continue
        for label, parts in (
            ("two axes", ([0, 1], [1, 3])),
            ("to the end", ([1], [2**40], [2])),
            ("from the end", ([-3, 0], [-1, 2], [2, 1])),
            ("negative axis", ([1], [3], [-1])),
            ("steps", ([0, 0], [4, 3], [2, 1], [2, 2])),
            ("backwards", ([-1], [-(2**40)], [2], [-1])),
            ("backwards by 2", ([2], [0], [2], [-2])),
            ("empty", ([3], [1], [2])),
        ):
            yield one_node("Slice", x, *(np.array(part) for part in parts), opset=opset, label=label)


def _pad(x: Array) -> Iterator[Case]:
    for opset in versions_of("Pad"):
        for mode in ("constant", "reflect", "edge", *(("wrap",) if opset >= 19 else ())):
            for pads in ([0, 1, 2, 1, 0, 1], [0, 0, -1, 0, 0, 2]):
                if opset < 11:
                    word = "paddings" if opset == 1 else "pads"
                    yield one_node("Pad", x, opset=opset, mode=mode, **{word: pads})
                    continue
                yield one_node("Pad", x, np.array(pads), opset=opset, label=f"by {pads}", mode=mode)
        if opset < 11:
            word = "paddings" if opset == 1 else "pads"
            yield one_node("Pad", x, opset=opset, value=1.5, **{word: [0, 1, 2, 1, 0, 1]})
            continue
        value = np.float32(1.5).reshape(())
        yield one_node("Pad", x, np.array([0, 1, 2, 1, 0, 1]), value, opset=opset, label="value")
        if opset >= 18:
            axes = np.array([2, -2])
            yield one_node("Pad", x, np.array([1, 2, 0, 1]), value, axes, opset=opset, label="axes")


def _split(x: Array) -> Iterator[Case]:
    for opset in versions_of("Split"):
        if opset < 13:
            yield one_node("Split", x, opset=opset, outputs=2)
            yield one_node("Split", x, opset=opset, outputs=2, axis=2)
            yield one_node("Split", x, opset=opset, outputs=2, axis=2, split=[1, 3])
            continue
        parts = {"num_outputs": 2} if opset >= 18 else {}
        yield one_node("Split", x, opset=opset, outputs=2, **parts)
        yield one_node("Split", x, opset=opset, outputs=2, axis=-1, **parts)
        yield one_node("Split", x, np.array([1, 3]), opset=opset, outputs=2, axis=2)
        if opset >= 18:
            yield one_node("Split", x, opset=opset, outputs=2, axis=1, num_outputs=2)


def _tiled(x: Any, tiles: Any, axis: Any) -> Any:
    import torch

    return torch.cat([x] * int(tiles), int(axis))


def _joined(x: Array) -> Iterator[Case]:
    import torch

    for opset in versions_of("Concat"):
        if opset == 1:
            yield one_node("Concat", x, x + 1, opset=opset, fed=2, torch=lambda *parts: torch.cat(parts, 1))
        for axis in (0, 1, 2) if opset < 11 else (0, 2, -2):
            yield one_node("Concat", x, x + 1, x - 1, opset=opset, fed=3, axis=axis)
    for opset in versions_of("Tile"):
        if opset == 1:
            yield one_node("Tile", x, np.array(2.0, np.float32), np.array(1.0, np.float32), opset=opset, torch=_tiled)
        else:
            yield one_node("Tile", x, np.array([1, 2, 3]), opset=opset)
    for opset in versions_of("Expand"):
        yield one_node("Expand", x, np.array([2, 1, 1, 1]), opset=opset, label="by one more axis")
        yield one_node("Expand", values("Expand").normal(3, 1), np.array([2, 1, 4]), opset=opset)


def _reshape(x: Array) -> Iterator[Case]:
    for opset in versions_of("Reshape"):
        for shape in ([6, 4], [-1, 2], [0, -1], [0, 0, 2, 2]):
            if opset == 1:
                yield one_node("Reshape", x, opset=opset, shape=shape, consumed_inputs=[0])
            else:
                yield one_node("Reshape", x, np.array(shape), opset=opset, label=f"to {shape}")
        if opset >= 14:
            empty = np.zeros((0, 3), np.float32)
            yield one_node("Reshape", empty, np.array([3, 0]), opset=opset, allowzero=1)
    for op_type in ("Shape", "Size"):
        for opset in versions_of(op_type):
            yield one_node(op_type, x, opset=opset)
    for opset in versions_of("Shape", since=15):
        for options in ({"start": 1}, {"end": -1}, {"start": -2, "end": 9}):
            yield one_node("Shape", x, opset=opset, **options)


def _gathered(x: Array) -> Iterator[Case]:
    for opset in versions_of("Gather"):
        for axis in (0, 1, 2) if opset < 11 else (0, 1, -1):
            index = np.array([[0, 1], [1, 0]])
            yield one_node("Gather", x, index, opset=opset, axis=axis)
        yield one_node("Gather", x, np.array(1), opset=opset, label="scalar")
        if opset >= 11:
            yield one_node("Gather", x, np.array([-1, 0]), opset=opset, label="from the end", axis=2)
    for opset in versions_of("GatherElements"):
        index = values("GatherElements").whole(-2, 2, 2, 3, 4)
        for axis in (0, 1, -1):
            yield one_node("GatherElements", x, index, opset=opset, axis=axis)
    for opset in versions_of("GatherND"):
        yield one_node("GatherND", x, np.array([[0, 1], [1, -1]]), opset=opset, label="two of three")
        yield one_node("GatherND", x, np.array([[0, 1, 2]]), opset=opset, label="three of three")
        if opset >= 12:
            yield one_node("GatherND", x, np.array([[1], [2]]), opset=opset, batch_dims=1)
    for opset in versions_of("Compress"):
        condition = np.array([True, False, True])
        yield one_node("Compress", x, condition, opset=opset, axis=1)
        yield one_node("Compress", x, condition, opset=opset)
        if opset >= 11:
            yield one_node("Compress", x, condition, opset=opset, axis=-1)


def _rearranged(_: Array) -> Iterator[Case]:
    drawn = values("rearranged")
    for opset in versions_of("DepthToSpace"):
        deep = drawn.normal(2, 8, 2, 3)
        yield one_node("DepthToSpace", deep, opset=opset, blocksize=2)
        for mode in ("DCR", "CRD") if opset >= 11 else ():
            yield one_node("DepthToSpace", deep, opset=opset, blocksize=2, mode=mode)
    for opset in versions_of("SpaceToDepth"):
        yield one_node("SpaceToDepth", drawn.normal(2, 3, 4, 6), opset=opset, blocksize=2)
    for opset in versions_of("ReverseSequence"):
        lengths = np.array([1, 2, 3, 4])
        yield one_node("ReverseSequence", drawn.normal(4, 4, 2), lengths, opset=opset)
        yield one_node("ReverseSequence", drawn.normal(4, 4, 2), lengths, opset=opset, batch_axis=0, time_axis=1)
    for opset in versions_of("Trilu"):
        x = drawn.normal(2, 3, 4)
        yield one_node("Trilu", x, opset=opset)
        yield one_node("Trilu", x, opset=opset, upper=0)
        yield one_node("Trilu", x, np.array(1), opset=opset, label="by 1")
        yield one_node("Trilu", x, np.array(-1), opset=opset, label="by -1", upper=0)
    for opset in versions_of("CenterCropPad"):
        yield one_node("CenterCropPad", drawn.normal(5, 4, 3), np.array([2, 7, 3]), opset=opset)
        yield one_node("CenterCropPad", drawn.normal(5, 4, 3), np.array([8, 2]), opset=opset, axes=[1, -1])


def _made(x: Array) -> Iterator[Case]:
    for opset in versions_of("ConstantOfShape"):
        yield one_node("ConstantOfShape", np.array([2, 3]), opset=opset)
        value = numpy_helper.from_array(np.array([7], np.int64))
        yield one_node("ConstantOfShape", np.array([2, 3]), opset=opset, value=value)
    for opset in versions_of("EyeLike"):
        yield one_node("EyeLike", x[0], opset=opset)
        yield one_node("EyeLike", x[0], opset=opset, k=1)
        yield one_node("EyeLike", x[0], opset=opset, k=-1, dtype=7)
    for opset in versions_of("Range"):
        for label, kind, parts in (("float", np.float32, (0.5, 3, 0.75)), ("int64", np.int64, (9, 2, -2))):
            numbers = [np.array(part, kind) for part in parts]
            yield one_node("Range", *numbers, opset=opset, fed=3, label=label)


def _dropout(x: Array) -> Iterator[Case]:
    for opset in versions_of("Dropout"):
        options: dict[str, Any] = {"is_test": 1} if opset < 7 else {}
        if opset == 1:
            options["consumed_inputs"] = [0]
        yield one_node("Dropout", x, opset=opset, torch=_itself, **options)
        if opset < 12:
            yield one_node("Dropout", x, opset=opset, ratio=0.3, torch=_itself, **options)
        else:
            yield one_node("Dropout", x, np.array(0.3, np.float32), np.array(False), opset=opset, label="no training")
        if opset >= 10:
            yield one_node("Dropout", x, opset=opset, outputs=2, **options)


def _itself(x: Any, *_: Any) -> Any:
    return x


def _found(_: Array) -> Iterator[Case]:
    whole = values("found").whole(0, 3, 2, 5)
    for opset in versions_of("NonZero"):
        yield one_node("NonZero", whole, opset=opset)
    for opset in versions_of("Unique"):
        yield one_node("Unique", whole, opset=opset, outputs=4)
        yield one_node("Unique", whole, opset=opset, outputs=4, sorted=0)
        yield one_node("Unique", whole, opset=opset, outputs=4, axis=1)
