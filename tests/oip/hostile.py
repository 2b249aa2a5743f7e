"""Cases that a server has to outlive: bytes of every kind, each as a name and what is sent.

A case answers with what the server said; the test judges it.
"""

from __future__ import annotations

__all__ = ["BODIES", "CONNECTIONS", "STREAMS"]

import contextlib
import gzip
import json
import os
import select
import socket
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

from oip.sockets import RawAnswer, dial, read_answers, send_raw
from oip.wire import HEADER_LENGTH, Wire

MIB = 1 << 20
# Twice what a server of ours waits for a request.
MOST_TO_SEND_S = 60.0


def _request(wire: Wire, **changes: Any) -> bytes:
    """Return the JSON of a right request with some members changed."""
    return json.dumps({**wire.draft("json", wire.make_arrays()).document, **changes}).encode()


def _input(wire: Wire, **changes: Any) -> bytes:
    document = wire.draft("json", wire.make_arrays()).document
    document["inputs"][0].update(changes)
    return json.dumps(document).encode()


def _bomb(size: int, times: int = 1) -> bytes:
    """Return so many bytes of one letter, compressed; more than once where asked for."""
    packer = zlib.compressobj(9, wbits=31)
    data = b"".join(packer.compress(b" " * MIB) for _ in range(size // MIB)) + packer.flush()
    for _ in range(times - 1):
        data = gzip.compress(data)
    return data


def _members(count: int) -> bytes:
    return gzip.compress(b" " * MIB) * count


Body = Callable[[Wire], tuple[bytes, dict[str, str]]]
# By POST to the model, over an HTTP library: each is to be refused.
BODIES: dict[str, Body] = {
    "lists 50,000 deep": lambda wire: (b"[" * 50_000, {}),
    "objects 50,000 deep": lambda wire: (b'{"a":' * 50_000, {}),
    "data 10,000 deep": lambda wire: (
        _input(wire, data=0).replace(b'"data": 0', b'"data": ' + b"[" * 10_000 + b"]" * 10_000),
        {},
    ),
    "an id of 10 MiB": lambda wire: (_request(wire, id="a" * (10 * MIB)), {}),
    "a number of 50,000 digits": lambda wire: (_input(wire, data=["N"]).replace(b'"N"', b"9" * 50_000), {}),
    "a number of 10^6 digits": lambda wire: (_input(wire, data=["N"]).replace(b'"N"', b"9" * 10**6), {}),
    "an exponent of nine digits": lambda wire: (_input(wire, data=["N"]).replace(b'"N"', b"1e999999999"), {}),
    "a key 5,000 times": lambda wire: (b"{" + b'"id":"a",' * 5_000 + b'"inputs":[]}', {}),
    "10,000 unknown inputs": lambda wire: (_request(wire, inputs=[{"name": "n"}] * 10_000), {}),
    "one input 2,000 times": lambda wire: (
        _request(wire, inputs=[{"name": wire.inputs[0].name, "shape": [1], "datatype": "UINT8", "data": []}] * 2_000),
        {},
    ),
    "10,000 unknown outputs": lambda wire: (_request(wire, outputs=[{"name": "n"}] * 10_000), {}),
    "a shape of 20,000 sizes": lambda wire: (_input(wire, shape=[1] * 20_000), {}),
    "a shape of 2^63": lambda wire: (_input(wire, shape=[2**63, 28, 28]), {}),
    "a shape whose product wraps to 0": lambda wire: (_input(wire, shape=[2**32, 2**32, 28], data=[]), {}),
    "a shape of a thousand digits": lambda wire: (_input(wire, shape=["N", 28, 28]).replace(b'"N"', b"9" * 1000), {}),
    "a shape of 2^31 rows": lambda wire: (_input(wire, shape=[2**31 - 1, 28, 28], data=[]), {}),
    "a negative shape twice": lambda wire: (_input(wire, shape=[-1, -28, 28]), {}),
    "text that is no UTF-8": lambda wire: (_request(wire, id="N").replace(b'"N"', b'"\xff\xfe\x80"'), {}),
    "UTF-16": lambda wire: (_request(wire).decode().encode("utf-16"), {}),
    "a comment": lambda wire: (b"/* */" + _request(wire), {}),
    "a comma too many": lambda wire: (_request(wire)[:-1] + b",}", {}),
    "64 KiB of nothing": lambda wire: (bytes(64 << 10), {}),
    "64 KiB of anything": lambda wire: (os.urandom(64 << 10), {}),
    "a bomb of 1 GiB": lambda wire: (_bomb(1 << 30), {"Content-Encoding": "gzip"}),
    "a bomb in a bomb": lambda wire: (_bomb(1 << 28, times=2), {"Content-Encoding": "gzip"}),
    "a bomb of 500 members": lambda wire: (_members(500), {"Content-Encoding": "gzip"}),
    "a deflate bomb": lambda wire: (zlib.compress(b" " * (64 * MIB)), {"Content-Encoding": "deflate"}),
    "compressed, and something behind it": lambda wire: (
        gzip.compress(_request(wire)) + b"more",
        {"Content-Encoding": "gzip"},
    ),
    "a binary size of 2^63": lambda wire: (_input(wire, parameters={"binary_data_size": 2**63}), {HEADER_LENGTH: "20"}),
    "a header length of 2^64": lambda wire: (_request(wire), {HEADER_LENGTH: str(2**64)}),
    "a header length in other digits": lambda wire: (_request(wire), {HEADER_LENGTH: "\xb2"}),
    "a body of 64 MiB": lambda wire: (bytes(64 * MIB), {}),
    "classes by the million": lambda wire: (
        _request(wire, outputs=[{"name": wire.outputs[0].name, "parameters": {"classification": 2**70}}] * 2),
        {},
    ),
}


def _head(wire: Wire, *lines: str, path: str = "", method: str = "POST") -> bytes:
    first = f"{method} {path or wire.path + '/infer'} HTTP/1.1"
    return "\r\n".join([first, "Host: a", *lines, "", ""]).encode("latin-1")


def _whole(wire: Wire, *lines: str, **changes: Any) -> bytes:
    body = _request(wire, **changes)
    return _head(wire, *lines, f"Content-Length: {len(body)}") + body


def _chunks(wire: Wire, *, sizes: int) -> bytes:
    body = _request(wire)
    parts = [body[place : place + sizes] for place in range(0, len(body), sizes)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


CHUNKED = "Transfer-Encoding: chunked"
# As bytes on a socket: the statuses that are right; an empty list of answers, a closed connection, is right where None is.
STREAMS: dict[str, tuple[Callable[[Wire], bytes], set[int | None]]] = {
    "no HTTP": (lambda wire: b"hello\r\n\r\n", {400, None}),
    "TLS where there is none": (lambda wire: bytes.fromhex("16030100a5010000a10303") + os.urandom(150), {400, None}),
    "HTTP/2 outright": (lambda wire: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 404, 405, None}),
    "HTTP/0.9": (lambda wire: b"GET /v2\r\n", {400, None}),
    "HTTP/7.8": (lambda wire: b"GET /v2 HTTP/7.8\r\nHost: a\r\n\r\n", {200, 400, 505, None}),
    "nothing but zeros": (lambda wire: bytes(4096), {400, None}),
    "a method that is none": (lambda wire: _head(wire, method="GURKE"), {400, 405, 501}),
    "a path of 100 kB": (lambda wire: _head(wire, method="GET", path="/v2/" + "a" * 100_000), {400, 404, 414, 431}),
    "a path with line ends": (lambda wire: _head(wire, method="GET", path="/v2/models/a%0d%0aX-Evil:%201"), {400, 404}),
    "a path with zeros and slashes": (
        lambda wire: _head(wire, method="GET", path="/v2/models/%00%2f..%2f..%2fetc"),
        {400, 404},
    ),
    "a path that climbs": (lambda wire: _head(wire, method="GET", path="/../../../../etc/passwd"), {400, 404}),
    "a whole address as path": (
        lambda wire: _head(wire, method="GET", path="http://b/v2/health/live"),
        {200, 400, 404},
    ),
    "a header of 100 kB": (lambda wire: _head(wire, "X-A: " + "a" * 100_000), {400, 431}),
    "10,000 headers": (lambda wire: _head(wire, *(f"X-{number}: a" for number in range(10_000))), {400, 431}),
    "a header's name with a blank": (lambda wire: _whole(wire, "X A: b"), {400}),
    "a header over two lines": (lambda wire: _whole(wire, "X-A: b", " c"), {200, 400}),
    "a header with a lone line end": (lambda wire: _whole(wire, "X-A: b\nX-B: c"), {200, 400}),
    "a header with a zero": (lambda wire: _whole(wire, "X-A: b\0c"), {400}),
    "no host": (lambda wire: b"GET /v2 HTTP/1.1\r\n\r\n", {200, 400}),
    "two content lengths": (lambda wire: _whole(wire, "Content-Length: 5"), {400}),
    "a negative content length": (lambda wire: _head(wire, "Content-Length: -5"), {400}),
    "a content length that is none": (lambda wire: _head(wire, "Content-Length: 10abc"), {400}),
    "a content length of 2^63": (lambda wire: _head(wire, f"Content-Length: {2**63}"), {400, 413}),
    "a content length of 2^64": (lambda wire: _head(wire, f"Content-Length: {2**64}"), {400, 413}),
    "a length and chunks": (lambda wire: _head(wire, "Content-Length: 5", CHUNKED) + b"0\r\n\r\nGET ", {400}),
    "chunked twice over": (lambda wire: _head(wire, "Transfer-Encoding: chunked, identity") + b"0\r\n\r\n", {400, 501}),
    "a chunk of no size": (lambda wire: _head(wire, CHUNKED) + b"zz\r\n", {400}),
    "a chunk of 2^64": (lambda wire: _head(wire, CHUNKED) + b"10000000000000000\r\n", {400, 413}),
    "a chunk longer than it says": (lambda wire: _head(wire, CHUNKED) + b"2\r\nabcdef\r\n0\r\n\r\n", {400}),
    "a chunk's name of 1 MB": (lambda wire: _head(wire, CHUNKED) + b"2;" + b"a" * 10**6, {400, 413, 431, None}),
    "trailers of 1 MB": (
        lambda wire: _head(wire, CHUNKED) + b"0\r\n" + b"X-A: b\r\n" * 125_000 + b"\r\n",
        {200, 400, 413, 431},
    ),
    "chunks of a byte": (lambda wire: _head(wire, CHUNKED) + _chunks(wire, sizes=1), {200}),
    "two header lengths": (lambda wire: _whole(wire, f"{HEADER_LENGTH}: 5", f"{HEADER_LENGTH}: 6"), {400}),
    "an upgrade to something else": (
        lambda wire: _head(wire, "Upgrade: websocket", "Connection: Upgrade", path="/v2", method="GET"),
        {200, 400, 426},
    ),
    "an id with line ends": (lambda wire: _whole(wire, id="a\r\nX-Evil: 1\r\n\r\n"), {200, 400}),
    "an id with a lone surrogate": (lambda wire: _whole(wire, id="\ud800"), {200, 400}),
    "an id with a zero": (lambda wire: _whole(wire, id="a\0b"), {200, 400}),
}


def _slow(wire: Wire, pieces: list[bytes], count: int) -> list[RawAnswer]:
    """Send pieces on many connections at once, a piece on each in turn, and leave."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(dial(wire.url)) for _ in range(count)]
        for piece in pieces:
            with contextlib.suppress(OSError):
                for connection in connections:
                    connection.sendall(piece)
            time.sleep(0.1)
    return []


def _slow_heads(wire: Wire) -> list[RawAnswer]:
    return _slow(wire, [_head(wire)[:20], *[b"X-A: b\r\n"] * 10], 200)


def _slow_bodies(wire: Wire) -> list[RawAnswer]:
    return _slow(wire, [_head(wire, "Content-Length: 3000"), *[b"{"] * 10], 200)


def _never_whole(wire: Wire) -> list[RawAnswer]:
    """Begin requests in every way and never end them, one of them a letter a second: the server's time to send ends."""
    starts = [
        _head(wire, "Content-Length: 3000"),  # this one drips on
        _head(wire)[:20],
        _whole(wire)[:-10],
        _head(wire, CHUNKED) + b"400\r\n{",
        _head(wire, CHUNKED) + _chunks(wire, sizes=50)[:-3],
    ]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(dial(wire.url)) for _ in starts]
        for connection, start in zip(connections, starts, strict=True):
            connection.sendall(start)
        end = time.monotonic() + MOST_TO_SEND_S
        while len(select.select(connections, [], [], 0)[0]) < len(connections) and time.monotonic() < end:
            time.sleep(1)
            with contextlib.suppress(OSError):
                connections[0].sendall(b" ")
        answers = [answer for connection in connections for answer in read_answers(connection)]
    return answers if len(answers) == len(starts) else [RawAnswer(500, f"{len(answers)} answers", b"")]


def _million_chunks(wire: Wire) -> list[RawAnswer]:
    pieces = [_head(wire, CHUNKED), *[b"1\r\n \r\n" * 10_000] * 100]
    return send_raw(wire.url, pieces)


def _idle(wire: Wire) -> list[RawAnswer]:
    """Open connections that ask nothing."""
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(dial(wire.url))
        return [] if wire.ask("GET", "/v2/health/live").status == 200 else [RawAnswer(500, "", b"")]


def _reset(wire: Wire, sent: bytes) -> list[RawAnswer]:
    """Break connections off without a goodbye."""
    for _ in range(50):
        with dial(wire.url) as connection:
            connection.sendall(sent)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return []


def _never_reads(wire: Wire) -> list[RawAnswer]:
    """Ask again and again for much, and read nothing of it."""
    body = _whole(wire) * 50
    with dial(wire.url) as connection:
        connection.setblocking(False)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            try:
                connection.send(body)
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                break
    return []


def _pipelined(wire: Wire, *, count: int) -> list[RawAnswer]:
    """Send requests without a wait for their answers; a few are answered, of a flood only the first, or none."""
    with dial(wire.url) as connection:
        connection.sendall(_head(wire, path="/v2/health/live", method="GET") * count)
        answers = read_answers(connection)
    is_answered = len(answers) == count or count > 100
    return answers if is_answered else [RawAnswer(500, f"{len(answers)} answers", b"")]


def _halved(wire: Wire, part: float) -> list[RawAnswer]:
    sent = _whole(wire)
    return send_raw(wire.url, sent[: int(len(sent) * part)], is_halved=True)


def _connects(wire: Wire) -> list[RawAnswer]:
    for _ in range(1000):
        dial(wire.url).close()
    return []


def _continues(wire: Wire) -> list[RawAnswer]:
    """Ask whether the body is wanted, as curl does with a large one, and send it after the answer."""
    body = _request(wire)
    with dial(wire.url) as connection:
        connection.sendall(_head(wire, "Expect: 100-continue", f"Content-Length: {len(body)}"))
        time.sleep(0.2)
        connection.sendall(body)
        return [answer for answer in read_answers(connection) if answer.status != 100]


CONNECTIONS: dict[str, tuple[Callable[[Wire], list[RawAnswer]], set[int | None]]] = {
    "200 slow heads": (_slow_heads, {None}),
    "200 slow bodies": (_slow_bodies, {None}),
    "never whole": (_never_whole, {408}),
    "10^6 chunks": (_million_chunks, {400, 413, None}),
    "500 that ask nothing": (_idle, {None}),
    "broken off in the head": (lambda wire: _reset(wire, _head(wire)[:30]), {None}),
    "broken off in the body": (lambda wire: _reset(wire, _whole(wire)[:-10]), {None}),
    "broken off before the answer": (lambda wire: _reset(wire, _whole(wire)), {None}),
    "one that never reads": (_never_reads, {None}),
    "8 requests at once": (lambda wire: _pipelined(wire, count=8), {200}),
    "5,000 requests at once": (lambda wire: _pipelined(wire, count=5000), {200, 400, None}),
    "half-closed behind a request": (lambda wire: _halved(wire, 1.0), {200, None}),
    "half-closed in a body": (lambda wire: _halved(wire, 0.9), {400, None}),
    "opened and closed 1,000 times": (_connects, {None}),
    "whether to continue": (_continues, {200}),
}
