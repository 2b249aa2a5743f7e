"""What a prediction writes to: a file that can be gone on with, or a stream; judged before anything is opened."""

from __future__ import annotations

__all__ = ["StreamTarget", "Target", "check_outputs_free", "existing_outputs", "open_output"]

import os
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from toolkit.closing import Closing
from toolkit.errors import UsageError
from toolkit.outputs import check_output
from toolkit.prediction.config import PredictionConfig
from toolkit.prediction.sinks.sink import Turn
from toolkit.prediction.sinks.unfinished import Progress, Unfinished, require_free
from toolkit.prediction.sources.open import STDIN, refuse_output_among


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

    def finish(self, turn: Turn | None = None) -> None:
        """Hand on the last bytes."""
        assert turn is None, "such a format needs a file"
        self.stream.flush()

    def discard(self) -> None:
        """Do nothing: what is gone is gone."""


# What rows are written to, and how far that has come.
Target: TypeAlias = Unfinished | StreamTarget


def check_outputs_free(config: PredictionConfig, *, stdin: BinaryIO, to_stream: bool) -> None:
    """Refuse outputs that would overwrite something, before anything is opened.

    Args:
        config: what is asked for.
        stdin: where a list of inputs comes from.
        to_stream: rows go to a stream instead of the output.

    Raises:
        UsageError: there is no output, it exists and `force` is not set, or it is one of the inputs or their list.
    """
    if not to_stream:
        if config.output is None:
            raise UsageError("no output; give a file or a stream for the rows")
        _check(config.output, config, stdin=stdin)
        require_free(config.output, resume=config.resume, force=config.force)
    if config.gallery is not None:
        if config.output is not None and config.gallery.resolve() == config.output.resolve():
            raise UsageError(f"{config.gallery} is both the output and the gallery; choose another name")
        _check(config.gallery, config, stdin=stdin)
        check_output(config.gallery, force=config.force)


def open_output(config: PredictionConfig, identity: dict[str, Any], *, stream: BinaryIO | None) -> Target:
    """Open what the rows go to.

    Raises:
        UsageError: an unfinished result stands in the way, or cannot be gone on with.
        ResourceError: the file cannot be written.
    """
    if stream is not None:
        return StreamTarget(stream)
    assert config.output is not None
    return Unfinished(config.output, identity, resume=config.resume, force=config.force)


def existing_outputs(config: PredictionConfig) -> tuple[Path, ...]:
    """Return the files that a prediction is going to replace: they must not be among its inputs."""
    return tuple(path for path in (config.output, config.gallery) if path is not None and path.exists())


def _check(output: Path, config: PredictionConfig, *, stdin: BinaryIO) -> None:
    check_output(output, force=True, inputs=(config.model,))
    if output.exists():
        for path in config.inputs:
            refuse_output_among(str(path), (output,))
            if str(path) == STDIN and _is_read_from(stdin, output):
                raise UsageError(f"the output {output} is also the list on standard input; choose another name")


def _is_read_from(stdin: BinaryIO, output: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stdin.fileno()), output.stat())
    except (OSError, ValueError):  # no file is behind it
        return False
