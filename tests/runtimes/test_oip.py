"""A server as a runtime: whom it takes for one, what it makes of another model, and what it does when there is no room."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from oip.double import Double, Model, RefusedError, open_double
from oip.wire import Tensor
from saying import saying
from tiny_models import build_model

from toolkit.errors import ModelError, ResourceError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Runtime, RuntimeSettings
from toolkit.runtimes.oip.address import read_address
from toolkit.runtimes.oip.connections import Connections
from toolkit.runtimes.registry import open_runtime

FEEDS = {"images": np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8)}


def answer(feeds: Any) -> dict[str, Any]:
    first = feeds["images"][:, 0, :3].astype(np.float32)
    return {"logits": first, "probabilities": first / 2, "label": first.argmax(axis=1)}


IMAGES = Tensor(name="images", datatype="UINT8", shape=(-1, 8, 8))
OUTPUTS = (
    Tensor(name="logits", datatype="FP32", shape=(-1, 3)),
    Tensor(name="probabilities", datatype="FP32", shape=(-1, 3)),
    Tensor(name="label", datatype="INT64", shape=(-1,)),
)
TINY = Model(name="tiny", inputs=(IMAGES,), outputs=OUTPUTS, run=answer)
SOURCE = ModelSource.in_memory(build_model().SerializeToString(), Path("tiny.onnx"))


@pytest.fixture
def double() -> Iterator[Double]:
    with open_double(TINY) as opened:
        yield opened


def open_at(url: str, runtime: str = "oip-http", **settings: Any) -> Runtime:
    return open_runtime(SOURCE, RuntimeSettings(runtime=runtime, provider="remote", at=url, **settings))


@pytest.mark.parametrize("runtime", ["oip-http", "oip-json"])
@pytest.mark.parametrize("runs_at_once", [1, 2, 16])
def test_answers_come_whole_and_in_order(double: Double, runtime: str, runs_at_once: int) -> None:
    with open_at(double.url, runtime, runs_at_once=runs_at_once) as opened:
        for _ in range(3):
            outputs = opened.run(FEEDS)
            for name, array in answer(FEEDS).items():
                np.testing.assert_array_equal(outputs[name], array)
                assert outputs[name].dtype == array.dtype
        assert opened.info.version == "double 1.0"
        assert opened.info.provider_active == "remote"


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://a:99999", "http://a/?b=c", "http://[1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"http://127\.0\.0\.1:8000"):
        open_at(url)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not answer in HTTP"),
        (b"", "see that a server runs there, or name another with --at; a server with TLS wants https://"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html>hi!", "does not speak the Open Inference Protocol"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "does not speak the Open Inference Protocol"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://a\r\nContent-Length: 0\r\n\r\n", "301: it sends to 'http://a'"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 15\r\n\r\n" + b'{"error":"who"}', "with a token only (401: who); name"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 15\r\n\r\n" + b'{"error":"who"}', "in the variable TOOLKIT_TOKEN_FILE"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 33\r\n\r\n" + b'{"name":"a","version":"1","x":[1]}'[:33], "Protocol"),
    ],
)
def test_what_speaks_something_else_is_told_in_a_line(data: bytes, words: str) -> None:
    with saying(data, scheme="http") as url, pytest.raises(ResourceError) as caught:
        open_at(url)
    assert words in str(caught.value)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ResourceError, match=f"{port} does not answer in HTTP: Connection refused"):
        open_at(f"http://127.0.0.1:{port}")


def test_tls_that_is_not_there_or_not_trusted_is_told() -> None:
    with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n", scheme="http") as url, pytest.raises(ResourceError) as caught:
        open_at(url.replace("http:", "https:"))
    assert "it speaks no TLS: write http://" in str(caught.value)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: context.wrap_socket(server.accept()[0], server_side=True))
        with pytest.raises(ResourceError, match=r"its certificate is not trusted here: .* in SSL_CERT_FILE"):
            open_at(f"https://127.0.0.1:{server.getsockname()[1]}")


def test_an_answer_that_comes_byte_by_byte_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.runtimes.oip.connections.MOST_S", 0.5)
    is_over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not is_over.wait(0.05):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(drip, server)
        try:
            with pytest.raises(ResourceError, match=r"bytes of an answer came in 0.5 s, and more are to come"):
                open_at(f"http://127.0.0.1:{server.getsockname()[1]}")
        finally:
            is_over.set()


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": (replace(IMAGES, shape=(-1, 9, 8)),)},
        {"inputs": (replace(IMAGES, shape=(1, 8, 8)),)},
        {"inputs": (replace(IMAGES, shape=(8, 8)),)},
        {"inputs": (replace(IMAGES, datatype="FP32"),)},
        {"inputs": (replace(IMAGES, name="pixels"),)},
        {"inputs": (IMAGES, replace(IMAGES, name="more"))},
        {"outputs": OUTPUTS[:2]},
        {"outputs": (replace(OUTPUTS[0], shape=(-1, 4)), *OUTPUTS[1:])},
    ],
)
def test_another_model_under_the_name_is_refused(changes: dict[str, Any]) -> None:
    with open_double(replace(TINY, **changes)) as double, pytest.raises(ModelError) as caught:
        open_at(double.url)
    assert "the file has" in str(caught.value)


def test_one_number_a_row_may_come_as_a_row_of_one() -> None:
    """As Triton tells it."""

    def run(feeds: Any) -> dict[str, Any]:
        return {name: array[:, None] if name == "label" else array for name, array in answer(feeds).items()}

    outputs = (*OUTPUTS[:2], replace(OUTPUTS[2], shape=(-1, 1)))
    with open_double(replace(TINY, outputs=outputs, run=run)) as double, open_at(double.url) as opened:
        np.testing.assert_array_equal(opened.run(FEEDS)["label"], answer(FEEDS)["label"])


def test_a_model_can_be_named_in_the_url(double: Double) -> None:
    with open_at(f"{double.url}/v2/models/tiny/versions/1") as opened:
        assert opened.run(FEEDS)
    with open_at(f"{double.url}/v2/") as opened:
        assert opened.run(FEEDS)
    for path, words in (("other", "'other'"), ("tiny/versions/2", "'tiny' of version 2")):
        with pytest.raises(ResourceError, match=rf"{double.url} serves no model {words} \(404: .+\); name the one"):
            open_at(f"{double.url}/v2/models/{path}")


def test_a_full_server_is_asked_again_but_not_by_a_stopwatch() -> None:
    refusals: list[float] = []

    def run(feeds: Any) -> Any:
        if len(refusals) < 2:
            refusals.append(time.monotonic())
            raise RefusedError(429, "the queue is full", **{"Retry-After": "0"})
        return answer(feeds)

    with open_double(replace(TINY, run=run)) as double, open_at(double.url) as opened:
        assert len(opened.run(FEEDS)["label"]) == 5
        refusals.clear()
        with pytest.raises(ResourceError, match="429: the queue is full"):
            opened.prepare(FEEDS)()


def test_a_server_that_breaks_is_a_failed_call() -> None:
    def run(_: Any) -> Any:
        raise RefusedError(500, "the engine\nbroke")

    server = open_double(replace(TINY, run=run))
    with server as double, open_at(double.url) as opened, pytest.raises(ModelError, match="500: the engine broke"):
        opened.run(FEEDS)


def test_the_bearer_token_comes_from_a_file(double: Double, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setenv("TOOLKIT_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(ResourceError, match="TOOLKIT_TOKEN_FILE"):
        open_at(double.url)
    (tmp_path / "token").write_text("secret\n")
    double.on_headers = lambda headers: seen.append(headers["authorization"])
    open_at(double.url).close()
    assert set(seen) == {"Bearer secret"}
    refusal = b"HTTP/1.1 401 No\r\nContent-Length: 15\r\n\r\n" + b'{"error":"who"}'
    with (
        saying(refusal, scheme="http") as url,
        pytest.raises(ResourceError, match="token, which TOOLKIT_TOKEN_FILE names, holds an"),
    ):
        open_at(url)


def test_a_refusal_before_the_whole_body_was_sent_is_heard() -> None:
    said = b"HTTP/1.1 413 No\r\nContent-Length: 15\r\nConnection: close\r\n\r\n" + b'{"error":"big"}'
    with saying(said, scheme="http") as url:
        connections = Connections(read_address(url, schemes=("http",), example=""))
        assert connections.ask("POST", "/v2", body=bytes(8 << 20)).words == "413: big"


def test_a_connection_that_the_server_closed_is_opened_again(double: Double) -> None:
    with open_at(double.url) as opened:
        opened.run(FEEDS)
        double.keeps = False  # from here on it closes after each answer
        for _ in range(3):
            assert opened.run(FEEDS)
            time.sleep(0.02)


def test_a_number_that_json_does_not_have_is_a_wrong_answer(double: Double) -> None:
    def spoil(document: dict[str, Any], _: Any) -> None:
        document["outputs"][0]["data"][0] = json.loads("NaN")

    double.rewrite = spoil
    with open_at(double.url, "oip-json") as opened, pytest.raises(ModelError, match="NaN is no number in JSON"):
        opened.run(FEEDS)
