"""A run's folder while it is trained: its lock, its checkpoints, what is left after a crash."""

from __future__ import annotations

__all__ = ["RunFolder", "find_valid_checkpoint"]

import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path

from toolkit.durable import read_json
from toolkit.errors import DataError, ModelError
from toolkit.holding import hold
from toolkit.runs.checkpoint import Checkpoint, read_checkpoint
from toolkit.runs.redo_log import finish_save, list_saves
from toolkit.runs.run import checkpoint_folder, epoch_checkpoint
from toolkit.training.saving import save_state
from toolkit.training.steps.state import TrainingState

# A crash then costs at most a minute of training; one save takes about a tenth of a second.
SAVE_EVERY_S = 60.0


class RunFolder:
    """Where a training saves.

    Args:
        path: the run folder.
        keep_every: keep every n-th epoch's checkpoint under its own name; 0 keeps none.
    """

    def __init__(self, path: Path, *, keep_every: int) -> None:
        self.path = path
        self._keep_every = keep_every
        self._checkpoints = checkpoint_folder(path)
        self._saved_at = time.monotonic()
        self.last_sha256 = ""

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against a second training; the system frees it however this process ends.

        Raises:
            ResourceError: another training holds it.
        """
        taken = f"the run {self.path} is being trained by another process; wait for it or train another run"
        with hold(self._checkpoints, taken=taken):
            yield

    def save_epoch(self, state: TrainingState, *, is_best: bool) -> None:
        """Save after a whole epoch: as the last, as the best where it is, under its number where it is kept."""
        self.save_last(state)
        epoch = state.position.epoch
        if is_best:
            save_state(self._checkpoints / "best.safetensors", state)
        if self._keep_every and epoch % self._keep_every == 0:
            save_state(epoch_checkpoint(self.path, epoch), state)

    def save_last(self, state: TrainingState) -> None:
        """Save where the training stands."""
        self.last_sha256 = save_state(self._checkpoints / "last.safetensors", state)
        self._saved_at = time.monotonic()

    def save_if_due(self, state: TrainingState) -> None:
        """Save in the middle of an epoch where the last save is too long ago."""
        if time.monotonic() - self._saved_at > SAVE_EVERY_S:
            self.save_last(state)

    def clear_leavings(self) -> None:
        """Bring saves that were killed to their end and remove their temporary files; only the lock's holder may."""
        for folder in (self.path, self._checkpoints):
            for path in folder.glob(".*.tmp"):
                path.unlink(missing_ok=True)
        for path in list_saves(self._checkpoints):
            finish_save(path)


def find_valid_checkpoint(run: Path) -> tuple[Checkpoint, list[str]]:
    """Return the checkpoint furthest on that is whole, and what was wrong with others that may have been further on.

    Raises:
        ModelError: none is whole.
    """
    problems: list[str] = []
    for path in sorted(list_saves(checkpoint_folder(run)), key=_progress, reverse=True):
        try:
            return read_checkpoint(path), problems
        except ModelError as error:
            problems.append(str(error))
    reason = f": {problems[0]}" if problems else "; it was stopped before its first save: train again"
    raise ModelError(f"the run {run} holds no checkpoint to go on from{reason}")


def _progress(path: Path) -> tuple[float, bool]:
    """Return steps done, as the JSON says; what cannot be read may be the furthest, `last` comes before its equals."""
    try:
        updates = float(read_json(path.with_suffix(".json"))["training"]["position"]["updates"])
    except (DataError, ValueError, TypeError, KeyError):
        updates = math.inf
    return updates, path.stem == "last"
