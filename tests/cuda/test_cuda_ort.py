"""ONNX Runtime on a real CUDA device: strict, fully placed, right, with and without IO binding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.runtime import OrtRuntime
from toolkit.runtimes.workers.client import WorkerRuntime

BATCHES = (1, 2, 3, 17, 64)
# For the tutorial's CNN in float32 the bound is about 1.4e-4 (DESIGN, parity); the card holds the exact one.
LABELS_SEED = 7


@pytest.fixture(scope="module")
def source(model_path: Path) -> ModelSource:
    return ModelSource.read(model_path)


@pytest.fixture(scope="module")
def bound(model_path: Path) -> float:
    from toolkit.card import Card, card_beside

    return float(Card.loads(card_beside(model_path).read_bytes()).bound["logits"])


def _digits(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    from toolkit.data import load_dataset

    return load_dataset("mnist-mini").test.images[:count]


def test_session_is_strict_and_every_node_is_placed_on_cuda(source: ModelSource) -> None:
    with WorkerRuntime(source, RuntimeSettings(provider="cuda")) as runtime:
        assert runtime.info.provider_active == "cuda"
        assert not runtime.info.fallback
        assert set(runtime.info.placement) == {"cuda"}
        assert sum(runtime.info.placement.values()) > 5
        assert runtime.info.details["provider_options"]["use_tf32"] == "0"


@pytest.mark.parametrize("batch", BATCHES)
def test_logits_equal_the_cpus_within_the_bound_with_tf32_off(source: ModelSource, bound: float, batch: int) -> None:
    images = {"images": _digits(batch)}
    with (
        WorkerRuntime(source, RuntimeSettings()) as cpu,
        WorkerRuntime(source, RuntimeSettings(provider="cuda")) as cuda,
    ):
        expected, seen = cpu.run(images), cuda.run(images)
    # Both sides may be off by the bound, in opposite directions.
    assert np.abs(expected["logits"] - seen["logits"]).max() <= 2 * bound
    np.testing.assert_array_equal(seen["label"], seen["logits"].argmax(axis=1))


def test_labels_equal_the_cpus_on_a_thousand_digits(source: ModelSource, bound: float) -> None:
    images = {"images": _digits(1000)}
    with (
        WorkerRuntime(source, RuntimeSettings()) as cpu,
        WorkerRuntime(source, RuntimeSettings(provider="cuda")) as cuda,
    ):
        expected, seen = cpu.run(images), cuda.run(images)
    ordered = np.sort(expected["logits"], axis=1)
    certain = ordered[:, -1] - ordered[:, -2] > 4 * bound
    np.testing.assert_array_equal(expected["label"][certain], seen["label"][certain])
    assert certain.mean() > 0.99


def test_same_batch_twice_gives_the_same_bytes(source: ModelSource) -> None:
    images = {"images": _digits(64)}
    with WorkerRuntime(source, RuntimeSettings(provider="cuda")) as runtime:
        first, second = runtime.run(images), runtime.run(images)
    np.testing.assert_array_equal(first["logits"], second["logits"])


def test_tf32_is_a_choice_that_is_recorded(source: ModelSource) -> None:
    with WorkerRuntime(source, RuntimeSettings(provider="cuda", tf32=True)) as runtime:
        assert runtime.info.details["provider_options"]["use_tf32"] == "1"
        outputs = runtime.run({"images": _digits(16)})
    assert np.isfinite(outputs["logits"]).all()


def test_io_binding_keeps_inputs_and_outputs_on_the_device_and_agrees(source: ModelSource) -> None:
    import onnxruntime

    images = _digits(64)
    with OrtRuntime(source, RuntimeSettings(provider="cuda")) as runtime:
        expected = runtime.run({"images": images})
        session = runtime._session
        binding = session.io_binding()
        binding.bind_ortvalue_input("images", onnxruntime.OrtValue.ortvalue_from_numpy(images, "cuda", 0))
        for name in expected:
            binding.bind_output(name, "cuda", 0)
        binding.synchronize_inputs()
        for _ in range(3):
            session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        values = dict(zip(expected, binding.get_outputs(), strict=True))
    assert {value.device_name() for value in values.values()} == {"cuda"}
    for name, value in values.items():
        np.testing.assert_array_equal(value.numpy(), expected[name])
