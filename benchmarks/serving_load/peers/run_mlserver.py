"""The file behind MLServer: the protocol's JSON form; it has no binary one."""

from __future__ import annotations

__all__ = ["MlServerDigits"]

import json
import sys
import tempfile
from pathlib import Path

from engine import LARGEST, MODEL, PORT, open_model
from mlserver import MLModel
from mlserver.cli import main
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class MlServerDigits(MLModel):
    """One model in the server's own process: its pool of workers does not start with the uvloop of today."""

    async def load(self) -> bool:
        """Open the file."""
        self.session = open_model(MODEL)
        self.outputs_of_file = [item.name for item in self.session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Run a batch."""
        images = NumpyCodec.decode_input(payload.inputs[0])
        values = zip(self.outputs_of_file, self.session.run(None, {"images": images}), strict=True)
        outputs = [NumpyCodec.encode_output(*item) for item in values]
        return InferenceResponse(model_name=self.name, outputs=outputs)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        ports = {"http_port": PORT, "grpc_port": PORT + 1, "metrics_port": PORT + 2}
        settings = {"host": "127.0.0.1", "debug": False, "parallel_workers": 0, **ports}
        (Path(folder) / "settings.json").write_text(json.dumps(settings))
        model = {"name": "digits", "implementation": "run_mlserver.MlServerDigits"}
        batches = {"max_batch_size": LARGEST, "max_batch_time": 0.0001}
        (Path(folder) / "model-settings.json").write_text(json.dumps({**model, **batches}))
        sys.argv = ["mlserver", "start", folder]
        main()
