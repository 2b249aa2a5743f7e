"""Operators that take every element for itself: one input, two with each opset's broadcasting, comparisons, choices."""

from __future__ import annotations

__all__ = ["make_cases"]

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Array, Case, one_node, values, versions_of

UNARY = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "Ceil",
    "Cos",
    "Cosh",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "Log",
    "Mish",
    "Neg",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
]
# Operators of one input with a number that shapes them, and another number than its default.
SHAPED: dict[str, dict[str, Any]] = {
    "Celu": {"alpha": 0.3},
    "Elu": {"alpha": 0.3},
    "Gelu": {"approximate": "tanh"},
    "HardSigmoid": {"alpha": 0.4, "beta": 0.1},
    "LeakyRelu": {"alpha": 0.3},
    "Selu": {"alpha": 0.3, "gamma": 2.0},
    "Shrink": {"bias": 0.2, "lambd": 0.4},
    "Swish": {"alpha": 0.5},
    "ThresholdedRelu": {"alpha": 0.3},
    "IsInf": {"detect_negative": 0},
    "ScaledTanh": {"alpha": 0.5, "beta": 2.0},
}
# An attribute of opset 1 that tells where a buffer may be overwritten; required there.
REUSES = {"Abs", "Ceil", "Elu", "Exp", "Floor", "HardSigmoid", "LeakyRelu", "Log", "Neg", "Reciprocal", "Relu", "Selu"}
REUSES |= {"Sigmoid", "Sqrt", "Tanh", "Clip", "PRelu", "Dropout", "Max", "Min", "Mean", "Sum"}
POSITIVE = {"Log", "Sqrt", "Reciprocal", "Pow"}
BROADCAST = ("Add", "Sub", "Mul", "Div", "Pow")
COMPARED = ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
LOGICAL = ("And", "Or", "Xor")
MANY = ("Max", "Min", "Mean", "Sum")
# Until these opsets the smaller operand was laid out by `axis` and `broadcast`.
LAID_OUT_BEFORE = 7


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for op_type in (*UNARY, *(name for name in SHAPED if name not in UNARY)):
        for opset in versions_of(op_type):
            yield from _unary(op_type, opset)
    for op_type in (*BROADCAST, *COMPARED, *LOGICAL):
        for opset in versions_of(op_type):
            yield from _binary(op_type, opset)
    for op_type in MANY:
        for opset in versions_of(op_type):
            yield from _many(op_type, opset)
    yield from _others()


def _unary(op_type: str, opset: int) -> Iterator[Case]:
    reuse = {"consumed_inputs": [0]} if opset == 1 and op_type in REUSES else {}
    drawn = values(op_type)
    x = drawn.positive(2, 3, 2) if op_type in POSITIVE else drawn.normal(2, 3, 2)
    if op_type in {"Acos", "Asin", "Atanh"}:
        x = np.tanh(x)
    if op_type == "Acosh":
        x = np.abs(x) + np.float32(1)
    if op_type in {"IsInf", "IsNaN", "Round", "Sign"}:
        x = np.array([-np.inf, np.inf, np.nan, -2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5], np.float32)
        x = np.nan_to_num(x, nan=3, posinf=4, neginf=-4) if op_type in {"Round", "Sign"} else x
    torch = _torch_unary(op_type)
    if op_type != "ScaledTanh":
        yield one_node(op_type, x, opset=opset, torch=torch, **reuse)
    if op_type in SHAPED:
        yield one_node(op_type, x, opset=opset, torch=_torch_shaped(op_type), **SHAPED[op_type], **reuse)
    if op_type == "IsInf":
        yield one_node(op_type, x, opset=opset, detect_positive=0)
    if op_type in {"Abs", "Neg", "Sign", "Relu", "Identity"} and opset >= 14:
        yield one_node(op_type, drawn.whole(-9, 9, 2, 3, dtype=np.int32), opset=opset, label="int32")
    if op_type in {"Exp", "Sigmoid", "Tanh", "Softplus", "Erf", "Log"}:
        wide = np.array([-90, -20, -1e-4, 0, 1e-4, 20, 80], np.float32)
        wide = np.abs(wide) + np.float32(1e-3) if op_type == "Log" else wide
        yield one_node(op_type, wide, opset=opset, label="wide", torch=torch, **reuse)


def _torch_unary(op_type: str) -> Any:
    import torch

    own = {
        "Gelu": torch.nn.functional.gelu,
        "HardSwish": torch.nn.functional.hardswish,
        "Identity": lambda x: x,
        "IsInf": torch.isinf,
        "IsNaN": torch.isnan,
        "Mish": torch.nn.functional.mish,
        "Selu": torch.nn.functional.selu,
        "Softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        "Softsign": torch.nn.functional.softsign,
        "Celu": torch.nn.functional.celu,
        "Elu": torch.nn.functional.elu,
        "Swish": torch.nn.functional.silu,
    }
    if op_type == "Selu":
        return None  # the standard's constants are float32
    return own.get(op_type, getattr(torch, op_type.lower(), None))


def _torch_shaped(op_type: str) -> Any:
    import torch

    given = {
        name: value if isinstance(value, str) else float(np.float32(value)) for name, value in SHAPED[op_type].items()
    }
    return {
        "Celu": lambda x: torch.nn.functional.celu(x, given["alpha"]),
        "Elu": lambda x: torch.nn.functional.elu(x, given["alpha"]),
        "Gelu": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
        "HardSigmoid": lambda x: (given["alpha"] * x + given["beta"]).clamp(0, 1),
        "LeakyRelu": lambda x: torch.nn.functional.leaky_relu(x, given["alpha"]),
        "Swish": lambda x: x * torch.sigmoid(given["alpha"] * x),
        "ThresholdedRelu": lambda x: torch.nn.functional.threshold(x, given["alpha"], 0),
    }.get(op_type)


def _binary(op_type: str, opset: int) -> Iterator[Case]:
    drawn = values(op_type)

    def draw(*shape: int) -> Array:
        if op_type in LOGICAL:
            return drawn.whole(0, 2, *shape, dtype=bool)
        if op_type == "Equal" and opset < 11:
            return drawn.whole(0, 3, *shape, dtype=np.int32)
        if op_type in COMPARED:
            return drawn.whole(0, 3, *shape, dtype=np.float32)
        return drawn.positive(*shape) if op_type in {"Pow", "Div"} else drawn.normal(*shape)

    torch = _torch_binary(op_type)
    yield one_node(op_type, draw(2, 3, 4), draw(2, 3, 4), opset=opset, fed=2, torch=torch)
    if opset < LAID_OUT_BEFORE:
        for shape, axis in (((1,), None), ((4,), None), ((3, 4), None), ((3, 4), 1), ((2,), 0), ((3,), 1), ((2, 3), 0)):
            options = {"broadcast": 1} if axis is None else {"broadcast": 1, "axis": axis}
            label = "x".join(map(str, shape))
            laid = functools.partial(_laid, torch, 3 - len(shape) if axis is None else axis)
            arrays = draw(2, 3, 4), draw(*shape)
            yield one_node(op_type, *arrays, opset=opset, fed=2, label=label, torch=laid, **options)
        # Both layouts would do: only the attribute says which is meant.
        options, laid = {"broadcast": 1, "axis": 0}, functools.partial(_laid, torch, 0)
        yield one_node(op_type, draw(3, 3, 3), draw(3), opset=opset, fed=2, label="3", torch=laid, **options)
        return
    for shape in ((), (4,), (3, 1), (2, 1, 4), (5, 1, 1, 1)):
        label = "x".join(map(str, shape)) or "scalar"
        yield one_node(op_type, draw(2, 3, 4), draw(*shape), opset=opset, fed=2, label=label, torch=torch)
    if op_type in BROADCAST and (op_type != "Pow" or opset >= 12):
        whole = drawn.whole(-9, 9, 2, 4, dtype=np.int64)
        yield one_node(op_type, whole, drawn.whole(1, 4, 4), opset=opset, fed=2, label="int64")
    if op_type == "Pow" and opset >= 12:
        yield one_node(op_type, draw(2, 4), drawn.whole(0, 4, 4), opset=opset, fed=2, label="float by int64")
        yield one_node(op_type, drawn.whole(1, 4, 4), draw(4), opset=opset, fed=2, label="int64 by float")


def _laid(apply: Any, axis: int, left: Any, right: Any) -> Any:
    """Apply PyTorch's function with the right operand's axes beginning at one of the left's."""
    for _ in range(left.ndim - axis - right.ndim):
        right = right.unsqueeze(-1)
    return apply(left, right)


def _torch_binary(op_type: str) -> Any:
    import torch

    return {
        "Add": torch.add,
        "Sub": torch.sub,
        "Mul": torch.mul,
        "Div": torch.div,
        "Pow": torch.pow,
        "Equal": torch.eq,
        "Greater": torch.gt,
        "Less": torch.lt,
        "GreaterOrEqual": torch.ge,
        "LessOrEqual": torch.le,
        "And": torch.logical_and,
        "Or": torch.logical_or,
        "Xor": torch.logical_xor,
    }[op_type]


def _many(op_type: str, opset: int) -> Iterator[Case]:
    drawn = values(op_type)
    reuse = {"consumed_inputs": [0]} if opset == 1 else {}
    yield one_node(op_type, drawn.normal(2, 3), opset=opset, **reuse)
    three = [drawn.normal(2, 3) for _ in range(3)]
    yield one_node(op_type, *three, opset=opset, fed=3, label="three", **reuse)
    if opset >= 8:
        laid = [drawn.normal(2, 3), drawn.normal(3), drawn.normal(2, 1)]
        yield one_node(op_type, *laid, opset=opset, fed=3, label="broadcast")
    if op_type in {"Max", "Min"} and opset >= 12:
        whole = [drawn.whole(-9, 9, 2, 3), drawn.whole(-9, 9, 3)]
        yield one_node(op_type, *whole, opset=opset, fed=2, label="int64")
    if op_type in {"Max", "Min"} and opset >= 8:
        holed = np.array([1, np.nan, 3], np.float32)
        yield one_node(op_type, holed, np.array([2, 2, np.nan], np.float32), opset=opset, fed=2, label="nan")


def _others() -> Iterator[Case]:
    drawn = values("others")
    x = drawn.normal(2, 3, 4)
    for opset in versions_of("Clip"):
        yield from _clip(opset, x)
    for opset in versions_of("PRelu"):
        reuse = {"consumed_inputs": [0]} if opset == 1 else {}
        slopes = [drawn.normal(1), *([drawn.normal(4), drawn.normal(3, 1)] if opset >= 7 else [drawn.normal(3)])]
        for slope in slopes:
            label = "x".join(map(str, slope.shape))
            yield one_node("PRelu", x, slope, opset=opset, label=label, **reuse)
    for opset in versions_of("Where"):
        condition = drawn.whole(0, 2, 3, 1, dtype=bool)
        yield one_node("Where", condition, x, drawn.normal(4), opset=opset, fed=3)
    for opset in versions_of("Mod"):
        whole = drawn.whole(-9, 9, 8), drawn.whole(1, 5, 8)
        yield one_node("Mod", whole[0], np.where(np.arange(8) % 2, whole[1], -whole[1]), opset=opset, fed=2)
        yield one_node("Mod", *whole, opset=opset, fed=2, fmod=1)
        yield one_node("Mod", x, drawn.positive(2, 3, 4), opset=opset, fed=2, fmod=1)
    for opset in versions_of("Cast"):
        yield from _cast(opset, drawn.normal(2, 3) * np.float32(3))
    for opset in versions_of("CastLike"):
        yield one_node("CastLike", x, drawn.whole(0, 3, 2, dtype=np.int32), opset=opset, fed=2)
    yield from _bits()


def _bits() -> Iterator[Case]:
    import torch

    drawn = values("bits")
    for opset in versions_of("Not"):
        yield one_node("Not", drawn.whole(0, 2, 2, 3, dtype=bool), opset=opset)
    for opset in versions_of("BitShift"):
        pair = drawn.whole(0, 200, 6, dtype=np.uint8), drawn.whole(0, 5, 6, dtype=np.uint8)
        for direction in ("LEFT", "RIGHT"):
            shift = torch.bitwise_left_shift if direction == "LEFT" else torch.bitwise_right_shift
            yield one_node("BitShift", *pair, opset=opset, fed=2, torch=shift, direction=direction)
    for opset in versions_of("BitShift", since=28):  # signed numbers, and shifts by all bits and more
        left, by = np.array([-8, -8, 8, -8, 8, 1 << 30], np.int32), np.array([2, 40, 40, -1, -1, 1], np.int32)
        for direction, seen in (("RIGHT", [-2, -1, 0, -1, 0, 1 << 29]), ("LEFT", [-32, 0, 0, 0, 0, -(1 << 31)])):
            stated = functools.partial(lambda seen, *_: torch.tensor(seen, dtype=torch.int32), seen)
            yield one_node("BitShift", left, by, opset=opset, fed=2, label="signed", torch=stated, direction=direction)
    for op_type in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        for opset in versions_of(op_type):
            yield one_node(op_type, drawn.whole(-99, 99, 2, 3), drawn.whole(-99, 99, 3), opset=opset, fed=2)
    for opset in versions_of("BitwiseNot"):
        yield one_node("BitwiseNot", drawn.whole(-99, 99, 6, dtype=np.int32), opset=opset)


def _clip(opset: int, x: Array) -> Iterator[Case]:
    if opset < 11:
        reuse = {"consumed_inputs": [0]} if opset == 1 else {}
        for options in ({}, {"min": -0.5}, {"max": 0.5}, {"min": -0.5, "max": 0.5}):
            yield one_node("Clip", x, opset=opset, **options, **reuse)
        return
    low, high = np.float32(-0.5).reshape(()), np.float32(0.5).reshape(())
    yield one_node("Clip", x, opset=opset)
    yield one_node("Clip", x, low, opset=opset, label="low")
    yield one_node("Clip", x, None, high, opset=opset, label="high")
    yield one_node("Clip", x, low, high, opset=opset, label="both")
    yield one_node("Clip", x, high, low, opset=opset, label="crossed")


def _cast(opset: int, x: Array) -> Iterator[Case]:
    if opset < 6:
        for kind in ("INT32", "INT64", "DOUBLE", "BOOL"):
            dtype = {"INT32": np.int32, "INT64": np.int64, "DOUBLE": np.float64, "BOOL": bool}[kind]
            cast = functools.partial(lambda dtype, x: x.numpy().astype(dtype), dtype)
            yield one_node("Cast", x, opset=opset, torch=cast, to=kind)
        return
    for kind in (6, 7, 9, 11):
        yield one_node("Cast", x, opset=opset, to=kind)
    yield one_node("Cast", x, opset=opset, tolerance=1e-3, to=10)  # the reference's float16 is float64
    yield one_node("Cast", np.abs(x), opset=opset, to=2)
    yield one_node("Cast", x.astype(np.int32), opset=opset, to=1, label="int32")
    if opset >= 19:
        yield one_node("Cast", x, opset=opset, to=17, saturate=0)
