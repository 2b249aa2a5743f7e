"""Normalisation over batches, channels, groups, layers and norms, in every opset."""

from __future__ import annotations

__all__ = ["make_cases"]

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from conformance.cases import Array, Case, one_node, values, versions_of

RESPONSE = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    yield from _batch_normalization()
    drawn = values("normalisation")
    four, three, five = drawn.normal(2, 6, 3, 4), drawn.normal(2, 6, 5), drawn.normal(2, 6, 2, 3, 2)
    yield from _local_response(four, three)
    yield from _norms(four)
    yield from _instances(four, three, five)
    yield from _groups(four, three)
    yield from _layers(drawn.normal(2, 3, 4))


def _local_response(four: Array, three: Array) -> Iterator[Case]:
    for opset in versions_of("LRN"):
        for size in (1, 2, 3, 5, 9):
            for options in ({}, {"alpha": 0.9, "beta": 0.6, "bias": 2.0}):
                by_torch = functools.partial(_torch_local_response, size, {**RESPONSE, **options})
                yield one_node("LRN", four, opset=opset, size=size, torch=by_torch, **options)
        by_torch = functools.partial(_torch_local_response, 3, {**RESPONSE, "alpha": 0.9})
        yield one_node("LRN", three, opset=opset, size=3, alpha=0.9, torch=by_torch)


def _torch_local_response(size: int, options: dict[str, float], x: Any) -> Any:
    import torch

    alpha, beta, bias = (float(np.float32(options[name])) for name in ("alpha", "beta", "bias"))
    padded = torch.nn.functional.pad(x.square(), (*[0] * 2 * (x.ndim - 2), (size - 1) // 2, size // 2))
    return x / (bias + alpha / size * padded.unfold(1, size, 1).sum(-1)) ** beta


def _norms(four: Array) -> Iterator[Case]:
    for opset in versions_of("LpNormalization"):
        for power in (1, 2):
            for axis in (-1, 0, 1):
                yield one_node("LpNormalization", four, opset=opset, p=power, axis=axis)
        yield one_node("LpNormalization", four, opset=opset)
        yield one_node("LpNormalization", np.zeros((2, 3), np.float32), opset=opset, label="zeros")
    for opset in versions_of("MeanVarianceNormalization"):
        yield one_node("MeanVarianceNormalization", four, opset=opset)
        if opset >= 9:
            yield one_node("MeanVarianceNormalization", four, opset=opset, axes=[1, 2])
        else:
            for options in ({"across_channels": 1}, {"normalize_variance": 0}):
                yield one_node("MeanVarianceNormalization", four, opset=opset, **options)


def _instances(*arrays: Array) -> Iterator[Case]:
    import torch

    for opset in versions_of("InstanceNormalization"):
        reuse = {"consumed_inputs": [0, 0, 0]} if opset == 1 else {}
        drawn = values("instances")
        scale, bias = drawn.normal(6), drawn.normal(6)
        for x in arrays:
            for options in ({}, {"epsilon": 0.5}):

                def by_torch(x: Any, scale: Any, bias: Any, options: dict[str, float] = options) -> Any:
                    epsilon = float(np.float32(options.get("epsilon", 1e-5)))
                    return torch.nn.functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)

                made = {**options, **reuse}
                yield one_node("InstanceNormalization", x, scale, bias, opset=opset, torch=by_torch, **made)


def _groups(*arrays: Array) -> Iterator[Case]:
    for opset in (18, *versions_of("GroupNormalization")):  # 18 is deprecated, not gone
        drawn = values("groups")
        for x in arrays:
            for groups in (1, 2, 3, 6):
                size = 6 if opset >= 21 else groups
                options = {"num_groups": groups, "epsilon": 0.01}
                scale, bias = drawn.normal(size), drawn.normal(size)
                by_torch = functools.partial(_torch_groups, groups)
                yield one_node("GroupNormalization", x, scale, bias, opset=opset, torch=by_torch, **options)


def _torch_groups(groups: int, x: Any, scale: Any, bias: Any) -> Any:
    import torch

    each = 6 // len(scale)
    spread = scale.repeat_interleave(each), bias.repeat_interleave(each)
    return torch.nn.functional.group_norm(x, groups, *spread, eps=float(np.float32(0.01)))


def _layers(x: Array) -> Iterator[Case]:
    for opset in versions_of("LayerNormalization"):
        drawn = values("layers")
        for axis in (-1, 1, 0, -2):
            sizes = x.shape[axis:] if axis else x.shape
            scale, bias = drawn.normal(*sizes), drawn.normal(*sizes)
            yield one_node("LayerNormalization", x, scale, bias, opset=opset, axis=axis)
            yield one_node("LayerNormalization", x, scale, opset=opset, label="no bias", axis=axis, epsilon=0.1)
        yield one_node("LayerNormalization", x, drawn.normal(4), opset=opset, outputs=3)
    for opset in versions_of("RMSNormalization"):
        drawn = values("root mean square")
        for axis in (-1, 1):
            yield one_node("RMSNormalization", x, drawn.normal(*x.shape[axis:]), opset=opset, axis=axis, epsilon=0.1)


def _batch_normalization() -> Iterator[Case]:
    import torch

    for opset in versions_of("BatchNormalization"):
        for sizes in ((2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 3, 2)):
            for epsilon in (None, 0.5):
                drawn = values("BatchNormalization")
                arrays = (drawn.normal(*sizes), *(drawn.normal(3) for _ in range(3)), drawn.positive(3))
                options: dict[str, Any] = {} if epsilon is None else {"epsilon": epsilon}
                if opset < 7:
                    options["is_test"] = 1
                if opset == 1:
                    options["consumed_inputs"] = [0, 0, 0, 0, 0]

                def by_torch(x: Any, *rest: Any, epsilon: float | None = epsilon) -> Any:
                    scale, bias, mean, variance = rest
                    return torch.nn.functional.batch_norm(
                        x, mean, variance, scale, bias, eps=float(torch.tensor(epsilon or 1e-5, dtype=torch.float32))
                    )

                yield one_node("BatchNormalization", *arrays, opset=opset, torch=by_torch, **options)
        if opset in (7, 8):
            drawn = values("spatial")
            arrays = (drawn.normal(2, 3, 4), *(drawn.normal(3, 4) for _ in range(3)), drawn.positive(3, 4))
            yield one_node("BatchNormalization", *arrays, opset=opset, spatial=0)
        drawn = values("training")
        arrays = (drawn.normal(4, 3, 2, 2), *(drawn.normal(3) for _ in range(3)), drawn.positive(3))
        mode: dict[str, Any] = {"training_mode": 1} if opset >= 14 else {}
        if opset == 1:
            mode["consumed_inputs"] = [0, 0, 0, 0, 0]
        yield one_node(
            "BatchNormalization", *arrays, opset=opset, outputs=3, torch=_torch_training, momentum=0.75, **mode
        )


def _torch_training(x: Any, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
    import torch

    epsilon = float(np.float32(1e-5))
    y = torch.nn.functional.batch_norm(x, None, None, scale, bias, training=True, eps=epsilon)
    axes = (0, *range(2, x.ndim))
    return y, 0.75 * mean + 0.25 * x.mean(axes), 0.75 * variance + 0.25 * x.var(axes, correction=0)
