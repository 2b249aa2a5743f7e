"""A server asked over gRPC: whom it takes for one, what it makes of odd answers, and what it does when there is no room."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from oip.double import Model
from oip.wire import Tensor
from saying import saying
from tiny_models import build_model

from toolkit.errors import ModelError, ResourceError, UsageError, WrongAnswerError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Runtime, RuntimeSettings
from toolkit.runtimes.registry import open_runtime

pytest.importorskip("tritonclient.grpc", reason="the extra `kits` is not installed, whose messages the double speaks")
import grpc
from oip.over_grpc.double import GrpcDouble, RefusedCallError, open_grpc_double

FEEDS = {"images": np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8)}


def answer(feeds: Any) -> dict[str, Any]:
    first = feeds["images"][:, 0, :3].astype(np.float32)
    return {"logits": first, "probabilities": first / 2, "label": first.argmax(axis=1)}


TINY = Model(
    name="tiny",
    inputs=(Tensor(name="images", datatype="UINT8", shape=(-1, 8, 8)),),
    outputs=(
        Tensor(name="logits", datatype="FP32", shape=(-1, 3)),
        Tensor(name="probabilities", datatype="FP32", shape=(-1, 3)),
        Tensor(name="label", datatype="INT64", shape=(-1,)),
    ),
    run=answer,
)
SOURCE = ModelSource.in_memory(build_model().SerializeToString(), Path("tiny.onnx"))


@pytest.fixture
def double() -> Iterator[GrpcDouble]:
    with open_grpc_double(TINY) as opened:
        yield opened


def open_at(url: str, **settings: Any) -> Runtime:
    return open_runtime(SOURCE, RuntimeSettings(runtime="oip-grpc", provider="remote", at=url, **settings))


@pytest.mark.parametrize("is_raw", [True, False])
@pytest.mark.parametrize("runs_at_once", [1, 2, 16])
def test_answers_come_whole_and_in_order(double: GrpcDouble, is_raw: bool, runs_at_once: int) -> None:
    double.is_raw = is_raw
    with open_at(double.url, runs_at_once=runs_at_once) as opened:
        for _ in range(3):
            outputs = opened.run(FEEDS)
            for name, array in answer(FEEDS).items():
                np.testing.assert_array_equal(outputs[name], array)
                assert outputs[name].dtype == array.dtype
        assert opened.info.version == "double 1.0"
        assert opened.info.provider_active == "remote"


def test_host_and_port_are_an_address_and_a_model_can_be_named_in_it(double: GrpcDouble) -> None:
    for at in (double.url.removeprefix("grpc://"), f"{double.url}/v2/models/tiny/versions/1"):
        with open_at(at) as opened:
            assert opened.run(FEEDS)
    for path, words in (("other", "'other'"), ("tiny/versions/2", "'tiny' of version 2")):
        with pytest.raises(ResourceError, match=f"{double.url} serves no model {words}"):
            open_at(f"{double.url}/v2/models/{path}")


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1:8000", "grpc://", "grpc://a:99999", "grpc://a/?b=c", "grpc://[1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"grpc://127\.0\.0\.1:8001"):
        open_at(url)


@pytest.mark.parametrize("data", [b"SSH-2.0-OpenSSH_9.6\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
def test_what_speaks_no_grpc_is_told_in_a_line(data: bytes) -> None:
    with (
        saying(data, scheme="grpc") as url,
        pytest.raises(ResourceError, match=f"{url} does not answer in gRPC") as caught,
    ):
        open_at(url)
    assert "\n" not in str(caught.value)


@contextlib.contextmanager
def serving_otherwise(answer: Any) -> Iterator[str]:
    """Serve every method of gRPC with the same bytes, or none at all."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, _: Any) -> Any:
            return None if answer is None else grpc.unary_unary_rpc_method_handler(lambda *_: answer)

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers((Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"grpc://127.0.0.1:{port}"
        server.stop(None).wait()


@pytest.mark.parametrize(
    ("said", "words"),
    [(None, "ServerMetadata gives UNIMPLEMENTED"), (b"", "it has no name"), (b"\xff\xff", "cannot be read")],
)
def test_another_service_over_grpc_is_told_in_a_line(said: bytes | None, words: str) -> None:
    with serving_otherwise(said) as url, pytest.raises(ResourceError) as caught:
        open_at(url)
    assert f"{url} does not speak the Open Inference Protocol: " in str(caught.value)
    assert words in str(caught.value)


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ResourceError, match=f"{port} does not answer in gRPC: .*refused"):
        open_at(f"127.0.0.1:{port}")


def test_another_model_under_the_name_is_refused() -> None:
    other = replace(TINY, inputs=(replace(TINY.inputs[0], shape=(-1, 9, 8)),))
    with open_grpc_double(other) as double, pytest.raises(ModelError, match="the file has"):
        open_at(double.url)


BROKEN: dict[str, tuple[Any, str]] = {
    "id": (lambda told: setattr(told, "id", "another"), "the answer is of request 'another'"),
    "model": (lambda told: setattr(told, "model_name", "another"), "to model 'another'"),
    "datatype": (lambda told: setattr(told.outputs[0], "datatype", "FP64"), "comes as FP64"),
    "unknown": (lambda told: setattr(told.outputs[0], "name", "another"), "'another' comes as FP32"),
    "short": (lambda told: told.raw_output_contents.__setitem__(0, b"abc"), "cannot be read"),
    "shape": (lambda told: told.outputs[0].shape.__setitem__(0, 7), "cannot be read"),
    "long": (lambda told: told.raw_output_contents.append(b"\0"), "3 outputs come with 4 raw contents"),
    "missing": (lambda told: told.outputs.pop(), "2 outputs come with 3 raw contents"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_answer_that_breaks_the_protocol_is_wrong(double: GrpcDouble, fault: str) -> None:
    double.rewrite, words = BROKEN[fault]
    with open_at(double.url) as opened, pytest.raises(WrongAnswerError, match=words):
        opened.run(FEEDS)


def test_contents_of_two_types_or_out_of_range_are_wrong(double: GrpcDouble) -> None:
    double.is_raw = False
    for spoil in (
        lambda told: told.outputs[0].contents.int_contents.append(1),
        lambda told: told.outputs[2].contents.ClearField("int64_contents"),
    ):
        double.rewrite = spoil
        with open_at(double.url) as opened, pytest.raises(WrongAnswerError, match="cannot be read"):
            opened.run(FEEDS)


def test_a_full_server_is_asked_again_but_not_by_a_stopwatch() -> None:
    refusals: list[float] = []

    def run(feeds: Any) -> Any:
        if len(refusals) < 2:
            refusals.append(time.monotonic())
            raise RefusedCallError("UNAVAILABLE", "the queue is full", **{"grpc-retry-pushback-ms": "20"})
        return answer(feeds)

    with open_grpc_double(replace(TINY, run=run)) as double, open_at(double.url) as opened:
        assert len(opened.run(FEEDS)["label"]) == 5
        refusals.clear()
        with pytest.raises(ResourceError, match="no room: UNAVAILABLE: the queue is full"):
            opened.prepare(FEEDS)()


def test_a_server_that_is_gone_is_not_one_without_room() -> None:
    with contextlib.ExitStack() as server, open_at(server.enter_context(open_grpc_double(TINY)).url) as opened:
        server.close()
        for ask in (partial(opened.run, FEEDS), opened.prepare(FEEDS)):
            with pytest.raises(ResourceError, match="does not answer in gRPC: UNAVAILABLE: failed to connect"):
                ask()


def test_a_refusal_is_the_models(double: GrpcDouble) -> None:
    def run(_: Any) -> Any:
        raise RefusedCallError("INVALID_ARGUMENT", "no\nsuch picture")

    double.model = replace(TINY, run=run)
    with (
        open_at(double.url) as opened,
        pytest.raises(ModelError, match="refuses a request with INVALID_ARGUMENT: no such"),
    ):
        opened.run(FEEDS)


def test_the_token_is_sent_with_every_call(double: GrpcDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("open-sesame\n")
    monkeypatch.setenv("TOOLKIT_TOKEN_FILE", str(tmp_path / "token"))
    with open_at(double.url) as opened:
        opened.run(FEEDS)
    assert [told["authorization"] for told in double.metadata] == ["Bearer open-sesame"] * 2


def test_a_certificate_that_is_not_trusted_is_told_with_what_to_do() -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    keys = certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([keys]))
    server.start()
    with pytest.raises(ResourceError, match=r"its certificate is not trusted here: .* in SSL_CERT_FILE"):
        open_at(f"grpcs://127.0.0.1:{port}")
    server.stop(None)
