"""A run's folder while it is trained: its lock, the whole state as checkpoints and back, what is left after a crash."""

from __future__ import annotations

__all__ = ["RunFolder", "find_valid_checkpoint", "restore_state", "save_state"]

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from toolkit.durable import read_json
from toolkit.errors import DataError, ModelError
from toolkit.holding import hold
from toolkit.plain import to_plain
from toolkit.runs.checkpoint import Checkpoint, TrainingTensors, read_checkpoint, write_checkpoint
from toolkit.runs.redo_log import finish_save, list_saves
from toolkit.runs.run import checkpoint_folder, epoch_checkpoint
from toolkit.training.steps.state import Position, TrainingState

# A crash then costs at most a minute of training; one save takes about a tenth of a second.
SAVE_EVERY_S = 60.0
# With an average, the checkpoint's network is the average; what is trained stands beside it.
TRAINED = "trained."
MOMENTS = ("exp_avg", "exp_avg_sq")
RANDOMNESS = "every generator is seeded from the seed and the position alone; none has a state of its own"


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


def save_state(path: Path, state: TrainingState) -> str:
    """Write weights, optimizer, position and the seed of all randomness; return the file's SHA-256.

    Raises:
        ResourceError: the file cannot be written; what was there before is whole.
    """
    tensors: dict[str, Tensor] = {}
    if state.average is not None:
        tensors |= {TRAINED + name: item for name, item in state.network.state_dict().items()}
    for name, parameter in state.network.named_parameters():
        kept = state.optimizer.state[parameter]  # empty before the first step
        tensors |= {f"{kind}.{name}": kept.get(kind, torch.zeros_like(parameter)) for kind in MOMENTS}
    training = TrainingTensors(
        description={
            "position": asdict(state.position),
            "seed": state.seed,
            "randomness": RANDOMNESS,
            "optimizer": type(state.optimizer).__name__,
        },
        of_network=() if state.average is None else (TRAINED,),
        of_parameters=tuple(f"{kind}." for kind in MOMENTS),
        tensors=tensors,
    )
    return write_checkpoint(path, state.judged, epoch=state.position.epoch, training=training)


def restore_state(state: TrainingState, checkpoint: Checkpoint) -> None:
    """Bring a freshly made state to where a checkpoint was saved.

    Raises:
        ModelError: the checkpoint holds no training, or another kind of one.
    """
    training = checkpoint.training
    wanted = () if state.average is None else (TRAINED,)
    if training.of_network != wanted or training.of_parameters != tuple(f"{kind}." for kind in MOMENTS):
        raise ModelError(f"{checkpoint.path} holds another kind of training; it cannot be resumed with this recipe")
    shapes = {name: tensor.shape for name, tensor in state.network.state_dict().items()}
    before, now = to_plain(checkpoint.network.config), to_plain(state.network.config)
    changed = [f"{key} was {before[key]}, is {now[key]}" for key in now if before[key] != now[key]]
    if any(tensor.shape != shapes.get(name) for name, tensor in checkpoint.network.state_dict().items()):
        raise ModelError(f"{checkpoint.path} holds another network: {'; '.join(changed)}; train a new run")
    try:
        state.position = Position(**training.description["position"])
    except (KeyError, TypeError) as error:
        raise ModelError(f"{checkpoint.path} records no position in the training: {error}") from error
    # The checkpoint's network is the one that is judged: with an average, what is trained is loaded beside it.
    state.judged.load_state_dict(checkpoint.network.state_dict())
    if state.average is not None:
        names = state.network.state_dict()
        state.network.load_state_dict({name: training.tensors[TRAINED + name] for name in names})
    for name, parameter in state.network.named_parameters():
        # Like the parameter: its device and memory layout, on which the last bits of a step depend.
        moments = {kind: torch.zeros_like(parameter).copy_(training.tensors[f"{kind}.{name}"]) for kind in MOMENTS}
        # Fused optimizers keep their count of steps beside the parameter.
        count = torch.tensor(float(state.position.updates), device=parameter.device)
        state.optimizer.state[parameter] = {"step": count, **moments}


def _progress(path: Path) -> tuple[float, bool]:
    """Return steps done, as the JSON says; what cannot be read may be the furthest, `last` comes before its equals."""
    try:
        updates = float(read_json(path.with_suffix(".json"))["training"]["position"]["updates"])
    except (DataError, ValueError, TypeError, KeyError):
        updates = math.inf
    return updates, path.stem == "last"
