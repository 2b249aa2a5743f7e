"""Windows, mel weights, Fourier transforms."""

from __future__ import annotations

__all__ = ["make_cases"]

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from onnx import TensorProto

from conformance.cases import Array, Case, one_node, values


def make_cases() -> Iterator[Case]:
    """Yield the family's files."""
    for name in ("HannWindow", "HammingWindow", "BlackmanWindow"):
        for periodic in (0, 1):
            yield one_node(name, np.array(9), opset=17, periodic=periodic)
            yield one_node(name, np.array(8), opset=17, periodic=periodic, output_datatype=TensorProto.DOUBLE)
        yield one_node(name, np.array(10), opset=17, label="default")
    for bins, length, rate, low, high in (
        (8, 16, 8192, 0, 4096),
        (10, 64, 16000, 125, 7500),
        (20, 512, 16000, 20, 8000),
    ):
        numbers = [np.array(item) for item in (bins, length, rate)]
        edges = [np.array(item, np.float32) for item in (low, high)]
        yield one_node("MelWeightMatrix", *numbers, *edges, opset=17, fed=5, label=f"{bins} of {length}")
    yield from _dft()
    yield from _stft()


def _dft() -> Iterator[Case]:
    for inverse, onesided, parts in ((0, 0, 1), (0, 0, 2), (0, 1, 1), (1, 0, 2)):
        x, options = values("DFT").normal(2, 6, 5, parts), {"inverse": inverse, "onesided": onesided}
        for opset, axis, length, arrays in (
            (17, 1, None, []),
            (17, 2, 8, [np.array(8)]),
            (17, 1, 3, [np.array(3)]),
            (20, 2, None, []),
            (20, 1, None, [None, np.array(1)]),
            (20, 2, 8, [np.array(8), np.array(-2)]),
        ):
            named = {"axis": axis} if opset < 20 else {}
            by_torch = _fourier(axis, length, inverse=bool(inverse), onesided=bool(onesided))
            label = f"axis {axis} length {length}"
            yield one_node("DFT", x, *arrays, opset=opset, label=label, torch=by_torch, **named, **options)


def _fourier(axis: int, length: int | None, *, inverse: bool, onesided: bool) -> Callable[..., Any]:
    import torch

    def transform(x: Any, *_: Any) -> Any:
        parts = torch.view_as_complex(x.contiguous()) if x.shape[-1] == 2 else torch.complex(x, x * 0)[..., 0]
        found = torch.fft.ifft(parts, length, axis) if inverse else torch.fft.fft(parts, length, axis)
        return torch.view_as_real(found.narrow(axis, 0, found.shape[axis] // 2 + 1) if onesided else found)

    return transform


def _stft() -> Iterator[Case]:
    drawn = values("STFT")
    signal, other, window = drawn.normal(1, 32, 1), drawn.normal(2, 33, 1), drawn.positive(16)
    given: dict[str, list[Array | None]] = {
        "window": [signal, np.array(8), window],
        "length": [signal, np.array(8), None, np.array(16)],
        "both": [signal, np.array(7), window, np.array(16)],
        "batch": [other, np.array(5), window],
    }
    for label, arrays in given.items():
        for onesided in (0, 1):
            options: dict[str, Any] = {"onesided": onesided}
            yield one_node("STFT", *arrays, opset=17, label=label, **options)
