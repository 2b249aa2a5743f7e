"""gRPC where the wire does not show it: messages, who may come in, time and room for a message, and what is not loaded."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from served import serving

from toolkit.errors import UsageError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.request import ServedTensors
from toolkit.serving.config import ServeConfig

pytest.importorskip("grpc_health", reason="the extra `serve-grpc` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
import grpc

from toolkit.serving.grpc import messages
from toolkit.serving.grpc.calls import Calls
from toolkit.serving.grpc.messages import SERVICE, message_class
from toolkit.serving.grpc.tensors import read_message, write_message
from toolkit.serving.repository import HeldBytes

WORDS = ServedTensors(
    inputs={"words": TensorSpec(name="words", dtype="string", shape=("batch", 2))},
    outputs={"half": TensorSpec(name="half", dtype="float16", shape=("batch",))},
    largest=4,
)


def test_messages_are_those_of_the_protocol() -> None:
    """Each field has the number and the type that Triton's own messages have."""
    theirs = pytest.importorskip("tritonclient.grpc.service_pb2", reason="the extra `kits` is not installed")
    pool = theirs.DESCRIPTOR.pool
    ours = messages.POOL.FindFileByName("inference.proto")

    def compare(own: Any) -> None:
        other = pool.FindMessageTypeByName(own.full_name)
        for field in own.fields:
            known = other.fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (known.number, known.type, known.is_repeated)
            for kind in ("message_type", "enum_type"):
                names = [getattr(item, kind) and getattr(item, kind).full_name for item in (field, known)]
                assert names[0] == names[1]
        for nested in own.nested_types:
            compare(nested)

    for message in ours.message_types_by_name.values():
        compare(message)
    for own in ours.enum_types_by_name.values():
        assert {value.name: value.number for value in own.values}.items() <= {
            value.name: value.number for value in pool.FindEnumTypeByName(own.full_name).values
        }.items()
    methods = pool.FindServiceByName(SERVICE.full_name).methods_by_name
    for method in SERVICE.methods:
        known = methods[method.name]
        assert method.input_type.full_name == known.input_type.full_name
        assert method.output_type.full_name == known.output_type.full_name


def test_the_compiled_messages_are_those_of_the_file_beside_them(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed, which compiles inference.proto")
    folder = Path(messages.__file__).parent
    made = tmp_path / "made.binpb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"--descriptor_set_out={made}"]
    subprocess.run([*command, "inference.proto"], check=True)
    assert made.read_bytes() == (folder / "inference.binpb").read_bytes()


def test_strings_come_in_both_forms_and_go_out_raw() -> None:
    contents = message_class("ModelInferRequest")()
    tensor = contents.inputs.add(name="words", datatype="BYTES", shape=[1, 2])
    tensor.contents.bytes_contents.extend(["gr\u00fcn".encode(), b""])
    raw = message_class("ModelInferRequest")(raw_input_contents=[b"\5\0\0\0gr\xc3\xbcn\0\0\0\0"])
    raw.inputs.add(name="words", datatype="BYTES", shape=[1, 2])
    for message in (contents, raw):
        request = read_message(message, WORDS, left_s=None)
        assert request.feeds["words"].tolist() == [["gr\u00fcn", ""]]
        assert (request.id, request.timeout_us) == (None, 0)
    answer = write_message(request, {"half": np.array([1.5], np.float16)}, head={"model_name": "m"}, classes=())
    assert (answer.model_name, answer.raw_output_contents[0]) == ("m", np.float16(1.5).tobytes())
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == ("FP16", [1])


@pytest.mark.parametrize("text", [b"\xff", b"a\0", b"\xed\xa0\x80"])
def test_strings_that_are_no_text_are_refused(text: bytes) -> None:
    message = message_class("ModelInferRequest")()
    tensor = message.inputs.add(name="words", datatype="BYTES", shape=[1, 2])
    tensor.contents.bytes_contents.extend([b"a", text])
    with pytest.raises(RefusedError, match="words"):
        read_message(message, WORDS, left_s=None)


@pytest.mark.parametrize(
    ("told_us", "left_s", "expected"), [(0, 0.5, 500_000), (7, 0.5, 7), (9, 1e-6, 1), (3, None, 3)]
)
def test_the_shorter_of_two_deadlines_holds(told_us: int, left_s: float | None, expected: int) -> None:
    message = message_class("ModelInferRequest")(raw_input_contents=[b"\0\0\0\0\0\0\0\0"])
    message.inputs.add(name="words", datatype="BYTES", shape=[1, 2])
    message.parameters["timeout"].int64_param = told_us
    assert read_message(message, WORDS, left_s=left_s).timeout_us == expected


def call(calls: Calls, act: Any) -> Any:
    """Serve one method that answers after a moment, and let a client act."""
    live = message_class("ServerLiveRequest")

    async def answer(_: Any, __: Any) -> Any:
        await asyncio.sleep(0.2)
        return message_class("ServerLiveResponse")(live=True)

    async def run() -> Any:
        server = grpc.aio.server()
        handlers = {"Ask": calls.unary(live, answer)}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("a.B", handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await act(channel)
        finally:
            await server.stop(None)

    return asyncio.run(run())


def make_calls(**changes: Any) -> Calls:
    given: dict[str, Any] = {"token": b"", "most_bytes": 100, "held": HeldBytes(250), "receive_s": 30.0, **changes}
    return Calls(**given, tell=lambda _: None)


def test_a_message_that_does_not_come_in_is_not_waited_for() -> None:
    async def act(channel: Any) -> Any:
        asking = channel.stream_unary("/a.B/Ask")()
        return await asking.code(), await asking.details()

    code, details = call(make_calls(receive_s=0.2), act)
    assert (code, details) == (grpc.StatusCode.DEADLINE_EXCEEDED, "no message came in within 0.2 s")


def test_messages_are_held_up_to_a_bound_and_let_go() -> None:
    async def act(channel: Any) -> list[str]:
        ask = channel.unary_unary("/a.B/Ask")
        codes = []
        for _ in range(2):
            asking = [ask(b"\x7a\x62" + bytes(98)) for _ in range(4)]  # an unknown field of 98 bytes
            codes.append(sorted([(await one.code()).name for one in asking]))
        return codes

    assert call(make_calls(), act) == [["OK", "OK", "UNAVAILABLE", "UNAVAILABLE"]] * 2


def test_a_fault_of_ours_is_internal_and_told_to_the_server_alone() -> None:
    told: list[str] = []
    calls = Calls(token=b"", most_bytes=100, held=HeldBytes(250), receive_s=9.0, tell=told.append)

    async def answer(_: Any, __: Any) -> Any:
        raise ZeroDivisionError("a secret")

    calls_unary = calls.unary
    calls.unary = lambda request, _: calls_unary(request, answer)  # type: ignore[method-assign,assignment,misc]

    async def act(channel: Any) -> Any:
        asking = channel.unary_unary("/a.B/Ask")(b"")
        return await asking.code(), await asking.details()

    assert call(calls, act) == (grpc.StatusCode.INTERNAL, "the server failed; its own log says how")
    assert told == ["a call over gRPC failed: ZeroDivisionError: a secret"]


@pytest.fixture
def secured(model_path: Path, tmp_path: Path) -> Iterator[tuple[str, trustme.CA]]:
    """A server that wants a token and certificates; its address and the authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    files = {name: tmp_path / name for name in ("key.pem", "cert.pem", "ca.pem", "token")}
    certificate.private_key_pem.write_to_path(files["key.pem"])
    certificate.cert_chain_pems[0].write_to_path(files["cert.pem"])
    authority.cert_pem.write_to_path(files["ca.pem"])
    files["token"].write_text("open-sesame\n")
    files["token"].chmod(0o600)
    options = ["--tls-cert", files["cert.pem"], "--tls-key", files["key.pem"], "--tls-client-ca", files["ca.pem"]]
    with serving(f"digits={model_path}", "--token-file", files["token"], *options, "--grpc-port", "0") as server:
        assert f"grpcs://{server.grpc} serves" in server.said
        yield server.grpc, authority


def test_a_token_and_client_certificates_keep_others_out_over_grpc(secured: tuple[str, trustme.CA]) -> None:
    address, authority = secured
    client = authority.issue_cert("client")
    root = authority.cert_pem.bytes()
    keys = client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()
    known, stranger = grpc.ssl_channel_credentials(root, *keys), grpc.ssl_channel_credentials(root)

    def ask(method: str, credentials: Any, token: str = "") -> str:
        with grpc.secure_channel(address, credentials) as channel:
            metadata = [("authorization", f"Bearer {token}")] if token else []
            try:
                channel.unary_unary(method)(b"", metadata=metadata, timeout=30)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

    of = f"/{SERVICE.full_name}/"
    assert ask(f"{of}ServerMetadata", known, "open-sesame") == "OK"
    for wrong in ("", "open-sesam", "open-sesame2"):
        assert ask(f"{of}ServerMetadata", known, wrong) == ask(f"{of}ModelInfer", known, wrong) == "UNAUTHENTICATED"
    assert ask(f"{of}ServerReady", known) == ask("/grpc.health.v1.Health/Check", known) == "OK"
    assert ask(f"{of}ServerReady", stranger) == "UNAVAILABLE"


def test_a_port_of_its_own_is_needed() -> None:
    with pytest.raises(UsageError, match="--port and --grpc-port are both 8000; give gRPC another one"):
        ServeConfig(grpc_port=8000)
    assert ServeConfig(port=0, grpc_port=0).grpc_port == 0


def test_without_grpc_nothing_of_it_is_loaded(model_path: Path, tmp_path: Path) -> None:
    with serving(f"digits={model_path}", loaded=tmp_path / "modules") as server:
        assert server.grpc == ""
        assert server.stop()[0] == 0
    assert "grpc" not in json.loads((tmp_path / "modules").read_text())
