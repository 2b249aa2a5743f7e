"""Checkpoints: a safetensors file with its JSON beside it, verified before use; no pickle anywhere.

`redo_log` says how the two are replaced together, and the hash in the JSON says whose bytes are right.
"""

from __future__ import annotations

__all__ = [
    "Checkpoint",
    "TrainingTensors",
    "load_tensors",
    "read_checkpoint",
    "write_checkpoint",
]

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from toolkit.durable import read_json, sha256_bytes
from toolkit.errors import DataError, ModelError, UsageError
from toolkit.network.cnn import CNN
from toolkit.network.config import NetworkConfig
from toolkit.plain import to_plain
from toolkit.regular_file import read_regular
from toolkit.runs.redo_log import pending_path, save_pair

CHECKPOINT_SCHEMA = "toolkit/checkpoint/2"
CHECKPOINT_CAP_BYTES = 1 << 30
NETWORK = "network."
DESCRIPTION_KEYS = {"schema", "sha256", "epoch", "network", "training"}
SEAL = "description_sha256"
# Whatever a JSON file of anyone's making can raise on its way to a description.
UNREADABLE = (DataError, ValueError, TypeError, KeyError, AttributeError, OverflowError, UsageError)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTensors:
    """What a training needs beside the network that is judged.

    Attributes:
        description: plain JSON values.
        of_network: prefixes under which the whole network is held once more, parameters and buffers.
        of_parameters: prefixes under which one tensor is held for each parameter.
        tensors: `<prefix><name>` to tensor, complete for every prefix.
    """

    description: dict[str, Any] = field(default_factory=dict)
    of_network: tuple[str, ...] = ()
    of_parameters: tuple[str, ...] = ()
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A network read back from disk.

    Attributes:
        network: float32 module in eval mode, on the CPU.
        epoch: whole epochs trained.
        sha256: hash of the safetensors file.
        path: the safetensors file, by its own name.
        training: what a training goes on with; empty where the checkpoint holds none.
    """

    network: CNN
    epoch: int
    sha256: str
    path: Path
    training: TrainingTensors


def write_checkpoint(path: Path, network: CNN, *, epoch: int, training: TrainingTensors | None = None) -> str:
    """Write the network's weights and buffers, and what the training goes on with; return the file's SHA-256.

    Raises:
        ResourceError: the disk is full, read-only or failed; the checkpoint that was there before is whole.
    """
    training = training or TrainingTensors()
    tensors = {**{NETWORK + name: item for name, item in network.state_dict().items()}, **training.tensors}
    data = save({name: item.detach().to("cpu").contiguous() for name, item in tensors.items()})
    digest = sha256_bytes(data)
    description = {
        "schema": CHECKPOINT_SCHEMA,
        "sha256": digest,
        "epoch": epoch,
        "network": to_plain(network.config),
        "training": {
            **training.description,
            "of_network": list(training.of_network),
            "of_parameters": list(training.of_parameters),
        },
    }
    save_pair(path, data, description=_seal(description))
    return digest


def read_checkpoint(path: Path) -> Checkpoint:
    """Read, verify and build a network.

    Raises:
        ModelError: missing, a pickle, changed since it was written, hostile, of another architecture, or not finite.
    """
    # From the outside in: the JSON by its own seal, the tensors by the hash in it, their names, kinds and shapes by
    # what the JSON's network needs, their values at last.
    description = _read_description(path)
    data = _read_bytes_of(path, description["sha256"])
    config, training = description["network"], description["training"]
    with torch.device("meta"):  # shapes only: nothing is allocated before the file is known to hold it
        shapes = CNN(config)
    tensors = load_tensors(data, _expected(shapes, training), name=str(path))
    _check_finite(tensors, name=str(path))
    network = CNN(config)
    # Taken out as they are loaded: what is left is the training's.
    network.load_state_dict({name: tensors.pop(NETWORK + name) for name in shapes.state_dict()})
    return Checkpoint(
        network=network.eval(),
        epoch=description["epoch"],
        sha256=description["sha256"],
        path=path,
        training=TrainingTensors(
            description=training["description"],
            of_network=training["of_network"],
            of_parameters=training["of_parameters"],
            tensors=tensors,
        ),
    )


def _seal(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description with its own hash: a flipped bit in the position would be believed otherwise."""
    return {**description, SEAL: sha256_bytes(json.dumps(description, sort_keys=True).encode())}


def _break_seal(value: dict[str, Any], *, name: str) -> dict[str, Any]:
    """Return the description inside; one of an earlier version has no seal, and no key that this one does not know."""
    inside = {key: item for key, item in value.items() if key != SEAL}
    if set(inside) != DESCRIPTION_KEYS or value.get(SEAL, _seal(inside)[SEAL]) != _seal(inside)[SEAL]:
        raise ModelError(f"{name} does not have its recorded SHA-256; it was damaged or changed")
    return inside


def _expected(shapes: CNN, training: dict[str, Any]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    state = {name: (item.dtype, tuple(item.shape)) for name, item in shapes.state_dict().items()}
    expected = {prefix + name: entry for prefix in (NETWORK, *training["of_network"]) for name, entry in state.items()}
    for prefix in training["of_parameters"]:
        expected |= {prefix + name: (torch.float32, tuple(item.shape)) for name, item in shapes.named_parameters()}
    return expected


def _read_description(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path} is not a .safetensors checkpoint; pickle files are never opened because they run code"
        )
    try:
        value = read_json(beside)
        if value["schema"] != CHECKPOINT_SCHEMA:
            raise ModelError(
                f"{beside} has schema {value['schema']!r}; expected {CHECKPOINT_SCHEMA!r}: train the run again"
            )
        value = _break_seal(value, name=str(beside))
        training = value["training"]
        prefixes = {key: tuple(map(str, training.pop(key))) for key in ("of_network", "of_parameters")}
        return {
            "sha256": str(value["sha256"]),
            "epoch": int(value["epoch"]),
            "network": NetworkConfig(**value["network"]),
            "training": {"description": training, **prefixes},
        }
    except UNREADABLE as error:
        raise ModelError(f"{beside}, which describes the checkpoint, cannot be read: {error}") from error


def _read_bytes_of(path: Path, sha256: str) -> bytes:
    """Return the bytes that have this hash: the file's, or its successor's where a save was killed after its commit."""
    problem: ModelError | None = None
    for candidate in (path, pending_path(path)):
        if candidate != path and not candidate.exists():
            break
        try:
            data = read_regular(candidate, most_bytes=CHECKPOINT_CAP_BYTES, raises=ModelError)
        except ModelError as error:
            problem = problem or error
            continue
        digest = sha256_bytes(data)
        if digest == sha256:
            return data
        problem = problem or ModelError(
            f"{path} has SHA-256 {digest[:12]}..., its JSON records {sha256[:12]}...; "
            "the file was damaged or changed: train again or use another checkpoint"
        )
    raise problem or ModelError(f"cannot read the checkpoint {path}")


def load_tensors(
    data: bytes, expected: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], *, name: str
) -> dict[str, Tensor]:
    """Return the tensors of a file that holds just what a network needs.

    The parser checks every size and offset against the file before it makes a tensor, so that a file takes no more
    memory than its own size once more.

    Args:
        data: the whole file.
        expected: dtype and shape for each tensor name.
        name: the file, for messages.

    Raises:
        ModelError: not a valid file, a key that stands twice, or a tensor that is missing, extra or of another kind.
    """
    try:
        tensors = load(data)
        # Of two equal keys the parser takes the last one in silence.
        json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")], object_pairs_hook=_unique_keys)
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise ModelError(f"{name} is not a valid safetensors file: {error}") from error
    for tensor, (dtype, shape) in expected.items():
        if tensor not in tensors:
            raise ModelError(f"{name}: tensor {tensor!r} is missing; this checkpoint is of another network")
        seen = tensors[tensor]
        if (seen.dtype, tuple(seen.shape)) != (dtype, shape):
            raise ModelError(
                f"{name}: tensor {tensor!r} is {seen.dtype} {list(seen.shape)}; the network needs {dtype} {list(shape)}"
            )
    extra = [tensor for tensor in tensors if tensor not in expected]
    if extra:
        raise ModelError(f"{name}: tensor {extra[0]!r} is not part of the network")
    return tensors


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _check_finite(tensors: dict[str, Tensor], *, name: str) -> None:
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{name}: tensor {key!r} holds NaN or infinity; train again from an earlier checkpoint")
