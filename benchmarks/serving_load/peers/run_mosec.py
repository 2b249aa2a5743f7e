"""The file behind mosec: the pixels in, the outputs' bytes out."""

from __future__ import annotations

__all__ = ["MosecDigits"]

import os
import sys
from typing import Any

import mosec
import numpy as np
from engine import LARGEST, PORT, SIDE, answer_together, open_model

BATCH = int(os.environ.get("BENCHMARK_BATCH", str(LARGEST)))
# 0 is its own choice: a batch that is not full waits 10 ms.
WAIT_MS = int(os.environ.get("BENCHMARK_WAIT_MS", "0"))


class MosecDigits(mosec.Worker):
    """One worker that is given batches."""

    def __init__(self) -> None:
        super().__init__()
        self.session = open_model()

    def deserialize(self, data: bytes) -> Any:
        """Return the images of a request, uint8 `[n, 28, 28]`."""
        return np.frombuffer(data, np.uint8).reshape(-1, SIDE, SIDE)

    def forward(self, data: list[Any]) -> list[Any]:
        """Run requests as one batch."""
        return answer_together(self.session, data)

    def serialize(self, data: Any) -> bytes:
        """Return the outputs' bytes."""
        return b"".join(part.tobytes() for part in data)


if __name__ == "__main__":
    sys.argv = ["mosec", "--address", "127.0.0.1", "--port", str(PORT), "--log-level", "error"]
    server = mosec.Server()
    server.append_worker(MosecDigits, num=1, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    server.run()
