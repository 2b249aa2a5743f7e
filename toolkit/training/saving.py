"""A training's whole state as a checkpoint, and back."""

from __future__ import annotations

__all__ = ["restore_state", "save_state"]

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from toolkit.errors import ModelError
from toolkit.plain import to_plain
from toolkit.runs.checkpoint import Checkpoint, TrainingTensors, write_checkpoint
from toolkit.training.steps.state import Position, TrainingState

# With an average, the checkpoint's network is the average; what is trained stands beside it.
TRAINED = "trained."
MOMENTS = ("exp_avg", "exp_avg_sq")
RANDOMNESS = "every generator is seeded from the seed and the position alone; none has a state of its own"


def save_state(path: Path, state: TrainingState) -> str:
    """Write weights, optimizer, position and the seed of all randomness; return the file's SHA-256.

    Raises:
        ResourceError: the file cannot be written; what was there before is whole.
    """
    tensors: dict[str, Tensor] = {}
    if state.average is not None:
        tensors |= {TRAINED + name: item for name, item in state.network.state_dict().items()}
    for name, parameter in state.network.named_parameters():
        kept = state.optimizer.state[parameter]
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
