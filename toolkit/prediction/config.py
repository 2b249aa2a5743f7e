"""What a prediction is asked to do; light enough for the command line to read its defaults from."""

from __future__ import annotations

__all__ = ["DEFAULT_BATCH", "DEFAULT_PROVIDER", "PredictionConfig"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_BATCH = 64
DEFAULT_PROVIDER = "cpu"
MAX_BATCH = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionConfig:
    """Which images go through which model, how, and where the rows go.

    Attributes:
        model: the `.onnx` file.
        inputs: image files, folders, IDX and NPY files, in the order of the rows.
        output: the CSV file to write; None where the caller gives a stream.
        force: overwrite an output that exists.
        provider: a provider's name, or `auto`: CUDA where it works, else the CPU.
        batch: images in one call, 1 to 65536; the last batch is padded, so that an engine meets one shape only.
        probabilities: add one column per class.
        allow_fallback: go on with the CPU where the provider is not active, and mark every row.
        threads: threads inside one operator; 0 leaves the engine its own choice.
    """

    model: Path
    inputs: tuple[Path, ...]
    output: Path | None = None
    force: bool = False
    provider: str = DEFAULT_PROVIDER
    batch: int = DEFAULT_BATCH
    probabilities: bool = False
    allow_fallback: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UsageError("nothing to predict; give image files, folders, IDX or NPY files")
        if not 1 <= self.batch <= MAX_BATCH:
            raise UsageError(f"the batch is {self.batch}; expected 1 to {MAX_BATCH}")
