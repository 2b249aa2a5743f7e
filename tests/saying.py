"""A port that says something whatever it is asked."""

from __future__ import annotations

__all__ = ["saying"]

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def saying(data: bytes, *, scheme: str) -> Iterator[str]:
    """Answer every connection with these bytes; yield the address, which promises a protocol."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(data)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
