"""IO binding: the same answers from buffers that are allocated once, rehearsed in the host's memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from fake_ort import BindingApi

from toolkit.data.load import load_mini
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.ort.api import OrtApi
from toolkit.runtimes.ort.binding import MOST_SHAPES, BoundSession
from toolkit.runtimes.ort.runtime import OrtRuntime

IMAGES = load_mini().test.images
OUTPUTS = ["logits", "probabilities", "label"]


class CountingApi(OrtApi):
    """Counts what is allocated on the device."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def device_value(self, array: np.ndarray[Any, Any], device: str) -> Any:
        self.shapes.append(array.shape)
        return super().device_value(array, device)


@pytest.fixture(scope="module")
def session(model_path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])


def test_answers_are_those_of_plain_runs(session: onnxruntime.InferenceSession) -> None:
    api = CountingApi()
    bound = BoundSession(session, OUTPUTS, device="cpu", api=api)
    for start, count in ((0, 64), (64, 64), (128, 7), (135, 64), (199, 7)):
        images = IMAGES[start : start + count]
        expected = session.run(OUTPUTS, {"images": images})
        for value, wanted in zip(bound.run({"images": images}), expected, strict=True):
            assert value.dtype == wanted.dtype
            assert np.array_equal(value, wanted)
    assert api.shapes == [(64, 28, 28), (7, 28, 28)]


def test_answers_and_images_stay_their_owners(session: onnxruntime.InferenceSession) -> None:
    bound = BoundSession(session, OUTPUTS, device="cpu", api=OrtApi())
    images = IMAGES[:4].copy()
    first = bound.run({"images": images})
    kept = [value.copy() for value in first]
    bound.run({"images": IMAGES[4:8]})
    assert all(np.array_equal(value, copy) for value, copy in zip(first, kept, strict=True))
    assert np.array_equal(images, IMAGES[:4])
    strided = IMAGES[:8:2]
    again = bound.run({"images": strided})
    assert np.array_equal(again[0], session.run(OUTPUTS, {"images": np.ascontiguousarray(strided)})[0])


def test_few_shapes_are_kept(session: onnxruntime.InferenceSession) -> None:
    api = CountingApi()
    bound = BoundSession(session, OUTPUTS, device="cpu", api=api)
    for count in [*range(1, MOST_SHAPES + 2), 2, 1]:
        assert len(bound.run({"images": IMAGES[:count]})[0]) == count
    assert len(api.shapes) == MOST_SHAPES + 2  # the first had made room, the second was still there


@pytest.mark.parametrize(("provider", "asked", "bound"), [("cuda", True, 3), ("cuda", False, 0), ("cpu", True, 0)])
def test_it_is_used_on_devices_where_it_is_asked_for(provider: str, asked: bool, bound: int) -> None:
    api = BindingApi()
    source = ModelSource.in_memory(b"model", Path("m.onnx"))
    runtime = OrtRuntime(source, RuntimeSettings(provider=provider, io_binding=asked), api=api)
    images = np.ones((2, 2), np.uint8)
    for _ in range(2):
        assert runtime.compute({"images": images})["logits"].tolist() == [[2, 2], [2, 2]]
    assert (api.made.bound, api.made.plain) == (bound, 0 if bound else 2)
    assert runtime.info.details.get("io_binding") == ("cuda" if bound else None)
