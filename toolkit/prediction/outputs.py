"""What a prediction writes to: a file that can be gone on with, or a stream; judged before anything is opened."""

from __future__ import annotations

__all__ = ["StreamTarget", "Target", "check_outputs_free", "open_output"]

from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from toolkit.artifacts import check_output
from toolkit.closing import Closing
from toolkit.errors import UsageError
from toolkit.imaging.decode import IMAGE_ENDINGS
from toolkit.prediction.unfinished import Progress, Unfinished

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.prediction.config import PredictionConfig


class Target(Protocol):
    """What rows are written to, and how far that has come."""

    stream: BinaryIO
    progress: Progress

    def advance(self, progress: Progress) -> None:
        """Note that everything up to here is in the stream."""

    def finish(self) -> None:
        """Everything is written."""

    def discard(self) -> None:
        """Nothing of it is to be kept."""


class StreamTarget(Closing):
    """A stream of the caller's, which stays open; what went there is gone.

    Args:
        stream: binary.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.progress = Progress()

    def advance(self, progress: Progress) -> None:
        """Hand on what is written: somebody may be waiting for it."""
        self.progress = progress
        self.stream.flush()

    def finish(self) -> None:
        """Hand on the last bytes."""
        self.stream.flush()

    def discard(self) -> None:
        """Do nothing: what is gone is gone."""


def check_outputs_free(config: PredictionConfig) -> None:
    """Refuse outputs that would overwrite something, before anything is opened.

    Raises:
        UsageError: there is no output, it exists and `force` is not set, or it is one of the inputs.
    """
    if config.output is None:
        raise UsageError("no output; give a file or a stream for the rows")
    _check(config.output, config)
    if config.gallery is not None:
        if config.gallery == config.output:
            raise UsageError(f"{config.gallery} is both the output and the gallery; choose another name")
        _check(config.gallery, config)


def open_output(
    config: PredictionConfig, identity: dict[str, Any], stream: BinaryIO | None
) -> Unfinished | StreamTarget:
    """Open what the rows go to.

    Raises:
        UsageError: an unfinished result stands in the way, or cannot be gone on with.
        ResourceError: the file cannot be written.
    """
    if stream is not None:
        return StreamTarget(stream)
    assert config.output is not None
    return Unfinished(config.output, identity, resume=config.resume, force=config.force)


def _check(output: Path, config: PredictionConfig) -> None:
    check_output(output, force=config.force, inputs=(config.model, *config.inputs))
    # A folder's images are inputs too: --force must not let the output take the place of one.
    if output.exists() and output.suffix.lower() in IMAGE_ENDINGS:
        parents = output.resolve().parents
        if any(path.is_dir() and path.resolve() in parents for path in config.inputs):
            raise UsageError(f"the output {output} is an image of an input folder; choose another name")
