"""The whole path: a real server, its worker, real requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from served import Served, serving

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[Served]:
    with serving(f"digits={model_path}", "--max-batch", "8") as started:
        yield started


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)


def test_health_metadata_and_config_say_what_the_model_is(server: Served) -> None:
    assert server.ask("/v2/health/live")[::2] == (200, b'{"live":true}')
    assert server.ask("/v2/health/ready")[::2] == (200, b'{"ready":true}')
    told = json.loads(server.ask("/v2/models/digits")[2])
    assert told["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 28, 28]}]
    assert [item["name"] for item in told["outputs"]] == ["logits", "probabilities", "label"]
    assert json.loads(server.ask("/v2/models/digits/config")[2])["max_batch_size"] == 8


def test_json_and_binary_answer_the_same_as_the_model_itself(
    server: Served, images: np.ndarray, model_path: Path
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(model_path.read_bytes())
    logits, _, label = session.run(None, {"images": images})
    told = server.infer(images, model="digits", id="seven")
    assert told["label"] == label.tolist()
    np.testing.assert_allclose(told["logits"], logits.ravel(), atol=1e-4)
    tensor = {"name": "images", "shape": [3, 28, 28], "datatype": "UINT8", "parameters": {"binary_data_size": 3 * 784}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    status, headers, body = server.ask(
        "/v2/models/digits/infer", head + images.tobytes(), Inference_Header_Content_Length=str(len(head))
    )
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    length = int(headers["inference-header-content-length"])
    assert np.frombuffer(body[length : length + 120], "<f4").tolist() == told["logits"]


def test_sigterm_ends_with_0(model_path: Path) -> None:
    with serving(model_path) as server:
        assert server.stop()[0] == 0
