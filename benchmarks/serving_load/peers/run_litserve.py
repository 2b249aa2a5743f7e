"""The file behind LitServe: pixels as base64 in JSON; it hands no raw body to a decoder."""

from __future__ import annotations

__all__ = ["LitServeDigits"]

import base64
from typing import Any

import litserve
import numpy as np
from engine import LARGEST, PORT, SIDE, answer_together, open_model


class LitServeDigits(litserve.LitAPI):
    """One worker that forms batches of what is there."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - as the library calls it
        """Open the file."""
        self.session = open_model()

    def decode_request(self, request: dict[str, str]) -> Any:
        """Return the images of a request, uint8 `[n, 28, 28]`."""
        return np.frombuffer(base64.b64decode(request["images"]), np.uint8).reshape(-1, SIDE, SIDE)

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Leave the requests apart: they are of several sizes."""
        return inputs

    def predict(self, inputs: Any) -> Any:
        """Run them as one batch."""
        return answer_together(self.session, inputs if isinstance(inputs, list) else [inputs])

    def unbatch(self, output: Any) -> Any:
        """Return an answer for each request."""
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the outputs as JSON."""
        return {"outputs": [part.tolist() for part in output]}


if __name__ == "__main__":
    litserve.LitServer(
        LitServeDigits(max_batch_size=LARGEST, batch_timeout=0.0001), accelerator="cpu", workers_per_device=1
    ).run(host="127.0.0.1", port=PORT, num_api_servers=1, log_level="error", generate_client_file=False)
