"""Windows, mel weights and spectra of frames, in the type that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import made, node_file, run_by_ort, run_model, run_node, wide
from onnx import TensorProto

from toolkit.errors import ModelError
from toolkit.runtimes.references.evaluator import OnnxEvaluatorRuntime


@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("name", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_windows_by_pytorch(name: str, periodic: int) -> None:
    import torch

    make = {"HannWindow": torch.hann_window, "BlackmanWindow": torch.blackman_window}.get(name)
    size, exact = np.array(9), torch.float64
    if make is None:
        expected = torch.hamming_window(9, periodic=bool(periodic), alpha=25 / 46, beta=21 / 46, dtype=exact)
    else:
        expected = make(9, periodic=bool(periodic), dtype=exact)
    (y,) = run_node(name, size, opset=17, periodic=periodic)
    assert y.dtype == np.float64
    assert np.abs(y - expected.numpy()).max() < 1e-15
    (narrow,) = run_model(node_file(name, [size], opset=17, periodic=periodic), [size], OnnxEvaluatorRuntime)
    assert narrow.dtype == np.float32
    (whole,) = run_node(name, size, opset=17, periodic=periodic, output_datatype=TensorProto.INT32)
    assert whole.dtype == np.int32


def test_mel_weights_by_hand() -> None:
    given = [np.array(item) for item in (2, 8, 8000)]
    edges = [np.array(item, np.float32) for item in (0, 4000)]
    (y,) = run_node("MelWeightMatrix", *given, *edges, opset=17)
    # 4000 Hz are 2146 mels, in four steps; 0, 427, 1113 and 2219 Hz lie at the places 0, 0, 1 and 2.
    assert y.dtype == np.float64
    assert y.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize(("bins", "length", "low", "high"), [(8, 16, 0, 4096), (20, 512, 125, 7500)])
def test_mel_weights_as_onnx_runtime_has_them(bins: int, length: int, low: float, high: float) -> None:
    given = [np.array(bins), np.array(length), np.array(16000), np.array(low, np.float32), np.array(high, np.float32)]
    (y,) = run_node("MelWeightMatrix", *given, opset=17)
    (other,) = run_by_ort("MelWeightMatrix", *given, opset=17)
    assert y.shape == other.shape
    assert np.abs(y - other).max() < 1e-6


@pytest.mark.parametrize("windowed", [True, False], ids=["window", "length"])
@pytest.mark.parametrize(
    ("shape", "onesided"),
    [((2, 50, 1), 1), ((2, 50, 1), 0), ((3, 50, 2), 0), ((2, 50), 1), ((1, 50), 0)],
    ids=["real", "real-whole", "complex", "as-pytorch-exports", "as-pytorch-exports-whole"],
)
def test_spectra_of_frames_by_pytorch(shape: tuple[int, ...], onesided: int, windowed: bool) -> None:
    import torch

    signal, step, length = made(*shape), np.array(7), np.array(16)
    window = made(16) if windowed else None
    (y,) = run_node("STFT", signal, step, window, None if windowed else length, opset=17, onesided=onesided)
    numbers = wide(signal) if len(shape) == 2 else wide(signal)[..., 0]
    expected = torch.stft(
        torch.from_numpy(numbers + 1j * wide(signal)[..., 1] if shape[-1] == 2 else numbers),
        16,
        7,
        window=torch.ones(16, dtype=torch.float64) if window is None else torch.from_numpy(wide(window)),
        center=False,
        onesided=bool(onesided),
        return_complex=True,
    )
    parts = torch.view_as_real(expected.transpose(1, 2)).numpy()
    assert y.dtype == np.float64
    assert y.shape == parts.shape
    assert np.abs(y - parts).max() < 1e-13


@pytest.mark.parametrize(
    ("signal", "window", "length"),
    [((1, 50, 1), 8, 16), ((1, 50, 2), 16, 16), ((1, 50, 1), None, None)],
    ids=["a window of another length", "half of a complex spectrum", "no length"],
)
def test_spectra_without_a_meaning_have_no_reference(
    signal: tuple[int, ...], window: int | None, length: int | None
) -> None:
    given = [made(*signal), np.array(7), window and made(window), length and np.array(length)]
    with pytest.raises(ModelError, match="STFT"):
        run_node("STFT", *given, opset=17, onesided=1)
