"""Bytes of HTTP/2 that no gRPC library would send: refused or closed, in bounded memory, and everybody else is served."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oip.neighbour import withstanding
from oip.over_grpc.wire import GrpcWire
from oip.rows import oip, own_server
from served import serving

pytestmark = [oip, own_server, pytest.mark.slow]
MOST_GROWTH_BYTES = 150 << 20
LONGEST_S = 5.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """Return one frame: RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def fields(*pairs: tuple[bytes, bytes]) -> bytes:
    """Return fields as literals without a table: RFC 7541, section 6.2.2; each shorter than 127 bytes."""
    return b"".join(b"\0%c%s%c%s" % (len(name), name, len(value), value) for name, value in pairs)


ASKED = fields(
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
    (b":authority", b"a"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
OPEN = PREFACE + frame(SETTINGS)


def call(stream: int, *extra: tuple[bytes, bytes]) -> bytes:
    return frame(HEADERS, ASKED + fields(*extra), flags=END_HEADERS, stream=stream)


def message(size: int, *, packed: int = 0) -> bytes:
    """Return what stands before a message of so many bytes."""
    return struct.pack(">BI", packed, size)


def dial(wire: GrpcWire) -> socket.socket:
    host, _, port = wire.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def send(wire: GrpcWire, *pieces: bytes, quiet_s: float = 1.0) -> bytes:
    """Send bytes and return what comes until the server closes, or says nothing for a while."""
    with dial(wire) as connection, contextlib.suppress(OSError):
        connection.settimeout(quiet_s)
        said = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            while more := connection.recv(1 << 16):
                said += more
        except OSError:
            pass
        return said
    return b""


def _endless(first: bytes, again: bytes, *, most_bytes: int = 64 << 20) -> Callable[[GrpcWire], None]:
    """Return a client that sends the same again and again until it is stopped, or sent so much."""

    def act(wire: GrpcWire) -> None:
        with dial(wire) as connection, contextlib.suppress(OSError):
            connection.sendall(first)
            for _ in range(most_bytes // len(again)):
                connection.sendall(again)

    return act


def _quietly(*pieces: bytes, count: int = 1, hold_s: float = 0.5) -> Callable[[GrpcWire], None]:
    """Return clients that send so much and no more, stay, and leave."""

    def act(wire: GrpcWire) -> None:
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(dial(wire)) for _ in range(count)]
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.sendall(b"".join(pieces))
            time.sleep(hold_s)

    return act


def _is_refused(*pieces: bytes) -> Callable[[GrpcWire], None]:
    """Return a client that gets a refusal of its call or of its connection, or is closed; never an answer."""

    def act(wire: GrpcWire) -> None:
        said = send(wire, *pieces)
        assert b"grpc-status\x010" not in said

    return act


STREAMS = range(1, 400, 2)
MANY = b"".join(call(stream) for stream in STREAMS)
CASES: dict[str, Callable[[GrpcWire], None]] = {
    "no HTTP": _is_refused(b"hello\r\n\r\n"),
    "HTTP/1.1": _is_refused(b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "zeros": _is_refused(bytes(1 << 20)),
    "TLS where there is none": _is_refused(bytes.fromhex("16030100a5010000a10303") + bytes(160)),
    "a frame of 16 MiB": _is_refused(OPEN, frame(DATA, bytes((1 << 24) - 1), stream=1)),
    "a frame of no kind": _is_refused(OPEN, frame(0xEE, b"abc", stream=1)),
    "a message of 2^32": _is_refused(OPEN, call(1), frame(DATA, message(2**32 - 1), stream=1)),
    "a message of 2^31 begun": _is_refused(OPEN, call(1), frame(DATA, message(2**31) + bytes(9000), stream=1)),
    "a packed message of no packing": _is_refused(
        OPEN, call(1), frame(DATA, message(9, packed=1) + bytes(9), flags=END_STREAM, stream=1)
    ),
    "a message with another flag": _is_refused(
        OPEN, call(1), frame(DATA, message(4, packed=77) + bytes(4), flags=END_STREAM, stream=1)
    ),
    "half a message": _is_refused(OPEN, call(1), frame(DATA, message(900) + bytes(40), flags=END_STREAM, stream=1)),
    "no message": _is_refused(OPEN, frame(HEADERS, ASKED, flags=END_HEADERS | END_STREAM, stream=1)),
    "two messages": _is_refused(OPEN, call(1), frame(DATA, (message(2) + b"\x0a\0") * 2, flags=END_STREAM, stream=1)),
    "a compressed message that is none": _is_refused(
        OPEN,
        call(1, (b"grpc-encoding", b"gzip")),
        frame(DATA, message(9, packed=1) + b"no gzip!!", flags=END_STREAM, stream=1),
    ),
    "a packing that nobody knows": _is_refused(
        OPEN,
        call(1, (b"grpc-encoding", b"br")),
        frame(DATA, message(9, packed=1) + bytes(9), flags=END_STREAM, stream=1),
    ),
    "a deadline that is none": _is_refused(OPEN, call(1, (b"grpc-timeout", b"soon"))),
    "a deadline of 10^8 hours": _quietly(OPEN, call(1, (b"grpc-timeout", b"99999999H"))),
    "a path that is none": _is_refused(
        OPEN, frame(HEADERS, ASKED.replace(b"/ModelInfer", b"/\xff\xfe\0\r\n<>#"), flags=END_HEADERS, stream=1)
    ),
    "another content type": _is_refused(
        OPEN, frame(HEADERS, ASKED.replace(b"application/grpc", b"application/html"), flags=END_HEADERS, stream=1)
    ),
    "fields of 60 kB": _is_refused(OPEN, call(1, *[(b"x-a", b"a" * 120)] * 500)),
    "an index that no table has": _is_refused(OPEN, frame(HEADERS, b"\xff\xff\x7f", flags=END_HEADERS, stream=1)),
    "endless metadata": _endless(
        OPEN + frame(HEADERS, ASKED, stream=1), frame(CONTINUATION, fields(*[(b"x-a", b"a" * 120)] * 120), stream=1) * 8
    ),
    "endless settings": _quietly(OPEN, frame(SETTINGS, struct.pack(">HI", 3, 100) * 100) * 2000),
    "endless pings": _endless(OPEN, frame(PING, bytes(8)) * 4000),
    "400 calls at once": _quietly(OPEN, MANY, hold_s=2),
    "calls begun and reset": _quietly(
        OPEN, b"".join(call(stream) + frame(RESET, bytes(4), stream=stream) for stream in range(1, 20_000, 2)), hold_s=2
    ),
    "100 messages half sent": _quietly(
        OPEN,
        b"".join(call(stream) + frame(DATA, message(300_000) + bytes(600), stream=stream) for stream in STREAMS[:100]),
        hold_s=3,
    ),
    "messages half sent on 100 connections": _quietly(
        OPEN, call(1) + frame(DATA, message(300_000) + bytes(16_000), stream=1), count=100, hold_s=3
    ),
    "500 that say nothing": _quietly(count=500),
    "500 that say hello": _quietly(OPEN, count=500),
    "half a preface": _quietly(PREFACE[:12], count=50),
}


@pytest.fixture(scope="module")
def attacked(model_path: Path) -> Iterator[GrpcWire]:
    """Our server, a client beside the attacker, and at the end both have to be well."""
    pytest.importorskip("grpc_health", reason="the extra `serve-grpc` is not installed")
    with serving(f"digits={model_path}", "--grpc-port", "0") as server:
        wire = GrpcWire.find(server.grpc, "digits")
        with withstanding(server, wire, "raw", most_growth_bytes=MOST_GROWTH_BYTES, longest_s=LONGEST_S):
            yield wire


@pytest.mark.parametrize("name", CASES)
def test_grpc_hostile_bytes_hurt_nobody(attacked: GrpcWire, name: str) -> None:
    CASES[name](attacked)
    GrpcWire.find(attacked.address, "digits").infer_arrays("raw", attacked.make_arrays())
