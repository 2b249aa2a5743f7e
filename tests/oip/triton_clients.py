"""Run in an environment of its own, with `tritonclient[grpc,http]`: everything that the clients ask, as their users write it.

    python triton_clients.py HOST:HTTP_PORT HOST:GRPC_PORT MODEL

Each answer is held against the other client's; what is told at the end is JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tritonclient
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

SIZES = (1, 3, 64)


def infer(kind: Any, client: Any, model: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the outputs of a request, the one of raw scores as its two best classes, too."""
    tensor = kind.InferInput("images", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images)
    found = client.infer(model, [tensor], request_id="a-1", timeout=5_000_000)
    answer = found.get_response()
    assert (answer["id"] if isinstance(answer, dict) else answer.id) == "a-1"
    best = client.infer(model, [tensor], outputs=[kind.InferRequestedOutput("logits", class_count=2)])
    names = ("logits", "probabilities", "label")
    return {**{name: found.as_numpy(name) for name in names}, "best": best.as_numpy("logits")}


def ask(kind: Any, client: Any, model: str) -> dict[str, Any]:
    """Return what a server says of itself and of a model, in the same words by either client."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(model)
    assert client.is_model_ready(model, "1")
    as_json = {"as_json": True} if kind is tritonclient.grpc else {}
    server, told = client.get_server_metadata(**as_json), client.get_model_metadata(model, **as_json)
    config = client.get_model_config(model, **as_json)
    (stats,) = client.get_inference_statistics(model, **as_json)["model_stats"]
    tensors = [(item["name"], item["datatype"], [int(size) for size in item["shape"]]) for item in told["inputs"]]
    return {
        "server": [server["name"], server["version"]],
        "model": [told["name"], told["versions"], told["platform"], tensors],
        "largest": int(config.get("config", config)["max_batch_size"]),
        "answered": int(stats["inference_stats"]["success"]["count"]) > 0,
    }


def refusal(act: Any) -> str:
    """Return the words of a refusal."""
    try:
        act()
    except InferenceServerException as error:
        return str(error.message())
    raise AssertionError("it was answered")


def main(http_at: str, grpc_at: str, model: str) -> None:
    """Ask by both clients and compare."""
    clients = {
        tritonclient.http: tritonclient.http.InferenceServerClient(http_at, concurrency=4),
        tritonclient.grpc: tritonclient.grpc.InferenceServerClient(grpc_at),
    }
    for size in SIZES:
        images = np.random.default_rng(size).integers(0, 256, (size, 28, 28), np.uint8)
        one, other = (infer(kind, client, model, images) for kind, client in clients.items())
        for name, array in one.items():
            assert array.shape == other[name].shape
            assert (array == other[name]).all(), name
    told = [ask(kind, client, model) for kind, client in clients.items()]
    assert told[0] == told[1], told
    over_http, over_grpc = clients.values()
    tensor = {kind: kind.InferInput("images", [3, 28, 28], "UINT8") for kind in clients}
    asked = []
    for item in tensor.values():
        item.set_data_from_numpy(np.zeros((3, 28, 28), np.uint8))
        asked.append(item)
    waiting = over_http.async_infer(model, [asked[0]])
    answers: list[Any] = []
    over_grpc.async_infer(model, [asked[1]], callback=lambda result, error: answers.append(error or result))
    first = waiting.get_result().as_numpy("label").tolist()
    while not answers:
        pass
    assert answers[0].as_numpy("label").tolist() == first
    words = [refusal(lambda client=client: client.get_model_metadata("none")) for client in clients.values()]
    assert words[0] == words[1]
    sys.stdout.write(json.dumps({**told[0], "refusal": words[0]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
