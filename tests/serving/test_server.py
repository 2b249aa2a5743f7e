"""The whole path: a real server, its worker, real requests."""

from __future__ import annotations

import gzip
import io
import json
import re
import socket
import threading
import uuid
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from served import Served, serving

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
INFER = "/v2/models/digits/infer"
CLASSIFY = "/v2/models/digits/classify"


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[Served]:
    with serving(f"digits={model_path}", f"digits={model_path}", "--max-batch", "8") as started:
        yield started


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)


def request_of(images: np.ndarray) -> bytes:
    tensor = {"name": "images", "shape": list(images.shape), "datatype": "UINT8", "data": images.ravel().tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def test_health_metadata_and_config_say_what_the_model_is(server: Served) -> None:
    assert server.ask("/v2/health/live")[::2] == (200, b'{"live":true}')
    assert server.ask("/v2/health/ready")[::2] == (200, b'{"ready":true}')
    told = json.loads(server.ask("/v2/models/digits")[2])
    assert told["versions"] == ["1", "2"]
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
    length = str(len(head))
    status, headers, body = server.ask(INFER, head + images.tobytes(), Inference_Header_Content_Length=length)
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    length = int(headers["inference-header-content-length"])
    assert np.frombuffer(body[length : length + 120], "<f4").tolist() == told["logits"]


def test_many_at_once_get_their_own_answers_and_metrics_count_them_all(server: Served) -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (24, 28, 28), np.uint8)
    alone = [server.infer(pictures[at : at + 1], model="digits")["logits"] for at in range(len(pictures))]
    before = count_answered(server)
    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(server.infer, pictures[at % 24 : at % 24 + 1], model="digits") for at in range(96)]
    for at, task in enumerate(asked):
        np.testing.assert_allclose(task.result()["logits"], alone[at % 24], atol=1e-4)
    assert count_answered(server) == before + 96
    stats = json.loads(server.ask("/v2/models/digits/versions/2/stats")[2])["model_stats"][0]
    assert stats["inference_stats"]["success"]["count"] == before + 96
    assert (
        sum(item["batch_size"] * item["compute_infer"]["count"] for item in stats["batch_stats"])
        == (stats["inference_count"])
    )


def test_what_was_classified_is_counted_as_what_was_inferred_is(server: Served) -> None:
    encoded = io.BytesIO()
    Image.new("L", (28, 28)).save(encoded, "PNG")
    before = count_answered(server)
    assert server.ask(CLASSIFY, encoded.getvalue())[0] == 200
    assert count_answered(server) == before + 1
    newest = json.loads(server.ask("/v2/models/digits/versions/2/stats")[2])["model_stats"][0]
    assert newest["inference_stats"]["success"]["count"] == before + 1
    assert newest["inference_count"] == sum(
        item["batch_size"] * item["compute_infer"]["count"] for item in newest["batch_stats"]
    )


def count_answered(server: Served) -> int:
    page = server.ask("/metrics")[2].decode()
    # A server that was not asked yet has no such line.
    found = re.findall(r'^toolkit_requests_total\{code="200",.*version="2"\} (\S+)', page, re.MULTILINE)
    return int(float(found[0])) if found else 0


def test_a_picture_is_classified_as_predict_does(server: Served, model_path: Path) -> None:
    from toolkit.prediction.classifier import Classifier

    pixels = np.full((90, 70), 240, np.uint8)
    pixels[20:70, 30:38] = 30  # dark ink on a light ground, of another size
    for form in ("PNG", "JPEG"):
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, form)
        status, _, body = server.ask(CLASSIFY, encoded.getvalue())
        told = json.loads(body)
        with Classifier(model_path) as classifier:
            expected = classifier.predict(encoded.getvalue())
        assert (status, told["label"]) == (200, expected.labels[0])
        assert told["message"] == expected.messages[0]
        assert told["doubtful"] == bool(expected.doubtful[0])
        assert told["probability"] == pytest.approx(float(expected.probability[0]), abs=1e-5)
    for sent, words in {
        b"no picture": "format not allowed",
        b' {"inputs": []}': "the body is JSON, which /infer takes",
        encoded.getvalue().translate(None, b"\0\r\n"): "as curl -d sends it; send it with --data-binary",
    }.items():
        status, _, body = server.ask(CLASSIFY, sent)
        assert (status, words in json.loads(body)["error"]) == (400, True), body


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        ("/v2/models/none/infer", b"{}", {}, 404, "no model 'none'; there are digits"),
        ("/v2/models/digits/versions/3/infer", b"{}", {}, 404, "no version '3'; it has 1, 2"),
        ("/v2/models/digits/versions/x/ready", None, {}, 404, "no version 'x'"),
        ("/v2/nothing", None, {}, 404, "nothing at '/v2/nothing'"),
        (INFER, None, {}, 405, "GET is not for this address; expected POST"),
        ("/v2/models/digits/ready", b"", {}, 405, "POST is not for this address; expected GET"),
        (INFER, b"{}", {"Content_Encoding": "br"}, 415, "expected gzip"),
        (INFER, b"nothing packed", {"Content_Encoding": "gzip"}, 400, "cannot decompress"),
        (INFER, gzip.compress(b"0" * 10_000_000), {"Content_Encoding": "gzip"}, 413, "larger than"),
        (INFER, b"0" * 200_000, {}, 413, "larger than"),
        (INFER, b"\x89PNG" + b"[" * 9, {}, 400, "the body is a picture; send its bytes to /v2/models/NAME/classify"),
        (INFER, b"\xff\xd8\xff\xe0\0\x10JFIF", {}, 400, "the body is a picture"),
        (INFER, b"\x1f\x8b\x08\0", {}, 400, "compressed with gzip; say so with Content-Encoding: gzip"),
        (INFER, b"\x93NUMPY\x01\0", {}, 400, "the body is an NPY file"),
        (INFER, b"\xff[", {}, 400, "is not JSON: 'utf-8'"),
        (INFER, b"--a", {"Content_Type": "Multipart/form-data; boundary=a"}, 415, "--data-binary @FILE"),
        (CLASSIFY, b"--a", {"Content_Type": "multipart/form-data; boundary=a"}, 415, "bytes of a picture alone"),
        (INFER, b"{}", {"Inference_Header_Content_Length": "abc"}, 400, "Content-Length is 'abc'"),
        (INFER, b"{}", {"Inference_Header_Content_Length": "-1"}, 400, "Content-Length is '-1'"),
        (INFER, b"{}", {"X": "y" * 60_000}, 431, "headers are over"),
    ],
)
def test_what_is_refused_says_why(
    server: Served, path: str, body: bytes | None, headers: dict[str, str], status: int, words: str
) -> None:
    seen, told, answer = server.ask(path, body, **headers)
    error = json.loads(answer)
    assert (seen, list(error), told["content-type"]) == (status, ["error"], "application/json"), answer
    assert words in error["error"]
    assert ("allow" in told) == (status == 405)


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_packed_body_is_taken(server: Served, images: np.ndarray, packing: str) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}[packing](request_of(images))
    assert server.ask(INFER, packed, Content_Encoding=packing)[0] == 200


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"\x16\x03\x01 a TLS greeting"],
)
def test_what_is_no_http_is_refused_in_json(server: Served, sent: bytes) -> None:
    with socket.create_connection((server.host, int(server.port))) as connection:
        connection.sendall(sent)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert list(json.loads(answer.partition(b"\r\n\r\n")[2])) == ["error"]


def test_the_page_is_the_web_kits_and_asks_this_server(server: Served) -> None:
    status, headers, page = server.ask("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    for name in re.findall(rb'(?:src|href)="([a-z.]+)"', page):
        assert server.ask(f"/{name.decode()}")[0] == 200
    assert b'fetch("v2/models/digits/versions/1/infer"' in server.ask("/index.js")[2]
    assert b"your browser" not in page


def test_a_flood_of_requests_on_one_connection_ends_it_and_nothing_else(server: Served) -> None:
    flood = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 200_000
    address = server.host, int(server.port)
    with socket.create_connection(address) as connection, pytest.raises(OSError, match=r"reset|[Pp]ipe"):
        connection.sendall(flood)
    assert server.ask("/v2/health/ready")[0] == 200


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told_when_requests_are_taken(model_path: Path, tmp_path: Path, is_abstract: bool) -> None:
    address = f"toolkit-test-{uuid.uuid4()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address if is_abstract else address)
        manager.settimeout(60)
        with serving(f"digits={model_path}", NOTIFY_SOCKET=f"@{address}" if is_abstract else address):
            assert manager.recv(100) == b"READY=1"


def test_sigterm_answers_what_was_taken_refuses_the_rest_and_ends_with_0(model_path: Path, tmp_path: Path) -> None:
    with serving(
        f"digits={model_path}", "--max-wait-ms", "700", "--no-page", "--timeout-ms", "10000", loaded=tmp_path / "m"
    ) as server:
        assert server.ask("/")[0] == 404
        taken: list[int] = []
        waiting = threading.Thread(
            target=lambda: taken.append(server.ask(INFER, request_of(np.zeros((1, 28, 28), "u1")))[0])
        )
        waiting.start()
        while (
            b"toolkit_queue_rows{" not in (page := server.ask("/metrics")[2])
            or b'version="1"} 1.0' not in page.partition(b"# TYPE toolkit_queue_rows gauge")[2].partition(b"# HELP")[0]
        ):
            pass
        server.process.terminate()
        while (answer := server.ask("/v2/health/ready"))[0] == 200:
            pass
        assert answer[::2] == (503, b'{"ready":false}')
        status, headers, _ = server.ask(INFER, request_of(np.zeros((1, 28, 28), "u1")))
        assert (status, headers["retry-after"]) == (503, "1")
        waiting.join()
        assert server.process.wait(60) == 0
        assert taken == [200]
    # The engine and its libraries are the worker's; pictures wait for the first one.
    assert set(json.loads((tmp_path / "m").read_text())) <= {"numpy", "onnx", "toolkit.data"}
