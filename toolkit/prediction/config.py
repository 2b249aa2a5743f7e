"""What a prediction is asked to do; light enough for the command line to read its defaults from."""

from __future__ import annotations

__all__ = [
    "AUTO_BATCH",
    "AUTO_RUNTIME",
    "DEFAULT_BATCH",
    "DEFAULT_PROVIDER",
    "DEFAULT_RUNTIME",
    "FROM_FILENAME",
    "FROM_FOLDER",
    "RAY",
    "EngineChoice",
    "PredictionConfig",
]

from dataclasses import dataclass, field
from pathlib import Path

from toolkit.errors import UsageError, require_known
from toolkit.imaging.settings import PrepareSettings

DEFAULT_BATCH = 64
AUTO_BATCH = 0
DEFAULT_PROVIDER = "cpu"
DEFAULT_RUNTIME = "ort"
AUTO_RUNTIME = "auto"
MAX_BATCH = 65_536
# What tells a row's class.
FROM_FILENAME, FROM_FOLDER = TRUTHS = ("filename", "folder")
LOCAL, RAY = EXECUTORS = ("local", "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """What is to run a model.

    Attributes:
        runtime: a name of the registry.
        provider: a provider's name, or `auto`: CUDA where it works, else the CPU.
        precision: arithmetic of the engine.
        threads: threads inside one operator; 0 leaves the engine its own choice.
        allow_fallback: go on with the CPU where the provider is not active, and mark every row.
    """

    runtime: str = DEFAULT_RUNTIME
    provider: str = DEFAULT_PROVIDER
    precision: str = "fp32"
    threads: int = 0
    allow_fallback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionConfig:
    """Which images go through which model, how, and where the rows go.

    Attributes:
        model: the `.onnx` file.
        inputs: image files, folders, globs, archives, IDX, NPY, NPZ and Parquet files, in the order of the rows; `-`
            reads such names from standard input.
        output: the file to write; None where the caller gives a stream.
        form: `csv`, `jsonl`, `parquet` or `npy`; None: by the output's ending.
        force: overwrite an output that exists.
        resume: go on with an output that was left unfinished.
        engine: what is to run the model.
        settings: how pictures are brought to the model.
        batch: images in one call, 1 to 65536, padded so that an engine meets one shape only; 0 measures and picks.
        probabilities: add one column per class.
        truths: add the class that each file's name begins with (`filename`), or its folder's name (`folder`), and
            count how many answers agree; "" for neither.
        gallery: picture to draw of the least sure images; None for none.
        executor: `local`, or `ray` for many machines.
        processes: most decoder processes, or over Ray most workers; None: one for each core, or GPU.
    """

    model: Path
    inputs: tuple[Path, ...]
    output: Path | None = None
    form: str | None = None
    force: bool = False
    resume: bool = False
    engine: EngineChoice = field(default_factory=EngineChoice)
    settings: PrepareSettings = field(default_factory=PrepareSettings)
    batch: int = DEFAULT_BATCH
    probabilities: bool = False
    truths: str = ""
    gallery: Path | None = None
    executor: str = LOCAL
    processes: int | None = None

    def existing_outputs(self) -> tuple[Path, ...]:
        """Return the files that are going to be replaced: they must not be among the inputs."""
        return tuple(path for path in (self.output, self.gallery) if path is not None and path.exists())

    def __post_init__(self) -> None:
        if not self.inputs:
            raise UsageError("nothing to predict; give image files, folders, archives, IDX, NPY or Parquet files")
        if self.batch != AUTO_BATCH and not 1 <= self.batch <= MAX_BATCH:
            raise UsageError(f"the batch is {self.batch}; expected 1 to {MAX_BATCH}")
        require_known(self.executor, EXECUTORS, what="executor")
        if self.truths:
            require_known(self.truths, TRUTHS, what="truths")
        if self.executor == RAY and self.batch == AUTO_BATCH:
            raise UsageError("--batch auto measures this machine; give a number for --executor ray")
        if self.executor == RAY and self.engine.runtime == AUTO_RUNTIME:
            raise UsageError("--runtime auto measures this machine; name the engine for --executor ray")
        if self.processes is not None and self.processes < 0:
            raise UsageError(f"processes is {self.processes}; expected 0 or more")
        if self.resume and self.output is None:
            raise UsageError("--resume needs an output that is a file")
