"""optimum's own check after an export, on files given: `python optimum_check.py RUN MODEL...`, JSON on the last line.

It runs where optimum is installed and needs of the toolkit only the network. The configuration that optimum asks for
says what our export is: one input of raw pixels, three outputs. The reference is the run in PyTorch float32, the inputs
are two random images of all byte values, the tolerance is optimum's own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from optimum.exporters.onnx import validate_model_outputs
from optimum.exporters.onnx.base import OnnxConfig
from optimum.utils import DEFAULT_DUMMY_SHAPES, NormalizedConfig
from transformers import PretrainedConfig

from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import read_run

OUTPUTS = {"logits": {0: "batch"}, "probabilities": {0: "batch"}, "label": {0: "batch"}}
SIZE = (28, 28)


class ImageConfig(OnnxConfig):
    """What an export of ours takes and gives."""

    NORMALIZED_CONFIG_CLASS = NormalizedConfig

    @property
    def inputs(self) -> dict[str, dict[int, str]]:
        """One input of raw pixels."""
        return {"images": {0: "batch"}}

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        """Three outputs."""
        return OUTPUTS

    def generate_dummy_inputs(self, framework: str = "pt", **_: Any) -> dict[str, torch.Tensor]:
        """Return as many random images as optimum makes by default."""
        assert framework == "pt"
        torch.manual_seed(0)
        return {"images": torch.randint(0, 256, (DEFAULT_DUMMY_SHAPES["batch_size"], *SIZE), dtype=torch.uint8)}


class Answering(torch.nn.Module):
    """The run's network with the outputs of an export."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.config = PretrainedConfig()

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return logits, probabilities and labels."""
        logits = self.network(images)
        return {"logits": logits, "probabilities": logits.softmax(1), "label": logits.argmax(1)}


def main() -> None:
    """Validate every file."""
    network = read_checkpoint(read_run(Path(sys.argv[1])).checkpoint_path).network.eval()
    reference, config = Answering(network).eval(), ImageConfig(PretrainedConfig(), task="image-classification")
    found = {}
    for path in sys.argv[2:]:
        try:
            validate_model_outputs(config, reference, Path(path), list(OUTPUTS), use_subprocess=False)
            found[path] = {"caught": False, "reason": ""}
        except Exception as error:  # noqa: BLE001 - whatever it raises is its verdict
            found[path] = {"caught": True, "reason": f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
