"""Bytes on a socket of which no HTTP library would send half."""

from __future__ import annotations

__all__ = ["RawAnswer", "dial", "read_answers", "send_raw"]

import re
import socket
import time
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

PATIENCE_S = 30.0


class RawAnswer(NamedTuple):
    """A status, the head as text and the body."""

    status: int
    head: str
    body: bytes


def dial(url: str) -> socket.socket:
    """Open a connection."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=PATIENCE_S)


def send_raw(
    url: str, pieces: bytes | Iterable[bytes], *, pause_s: float = 0.0, is_halved: bool = False
) -> list[RawAnswer]:
    """Send bytes, piece by piece, and read all answers until the server closes or says nothing more.

    Args:
        url: of the server.
        pieces: what is sent; a server that closes meanwhile is read from all the same.
        pause_s: between two pieces.
        is_halved: close the sending half when all is sent.
    """
    with dial(url) as connection:
        try:
            for piece in [pieces] if isinstance(pieces, bytes) else pieces:
                connection.sendall(piece)
                if pause_s:
                    time.sleep(pause_s)
            if is_halved:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read_answers(connection)


def read_answers(connection: socket.socket, *, first_s: float = 4.0, quiet_s: float = 0.2) -> list[RawAnswer]:
    """Return what comes until the end, or until a moment after the last answer; nothing may come for a while at first."""
    data, answers = b"", []
    connection.settimeout(first_s)
    while True:
        while (found := _cut(data)) is not None:
            answer, data = found
            answers.append(answer)
            connection.settimeout(quiet_s)
        try:
            more = connection.recv(1 << 16)
        except OSError:
            return answers
        if not more:
            return answers
        data += more


def _cut(data: bytes) -> tuple[RawAnswer, bytes] | None:
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    text = head.decode("latin-1")
    length = re.search(r"(?im)^content-length: *(\d+)", text)
    size = int(length[1]) if length else 0
    if len(rest) < size:
        return None
    return RawAnswer(int(text.split(" ", 2)[1]), text, rest[:size]), rest[size:]
