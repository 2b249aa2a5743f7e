"""Checkpoints: a safetensors file with its JSON beside it, verified before use; no pickle anywhere."""

from __future__ import annotations

__all__ = ["CHECKPOINT_SCHEMA", "Checkpoint", "read_checkpoint", "write_checkpoint"]

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from toolkit.artifacts import sha256_bytes, write_atomic, write_json
from toolkit.errors import ModelError, UsageError
from toolkit.network.cnn import CNN
from toolkit.network.config import NetworkConfig
from toolkit.network.safetensors_header import check_entries, read_header

CHECKPOINT_SCHEMA = "toolkit/checkpoint/1"
CHECKPOINT_CAP_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A network read back from disk.

    Attributes:
        network: float32 module in eval mode, on the CPU.
        epoch: epochs trained.
        sha256: hash of the safetensors file.
        path: the safetensors file.
    """

    network: CNN
    epoch: int
    sha256: str
    path: Path


def write_checkpoint(path: Path, network: CNN, *, epoch: int) -> str:
    """Write the network's weights and buffers with their description; return the file's SHA-256.

    The weights go first, the JSON that names their hash second, so a reader never trusts weights that it cannot verify.
    """
    tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in network.state_dict().items()}
    data = save(tensors)
    write_atomic(path, data)
    digest = sha256_bytes(data)
    description = {
        "schema": CHECKPOINT_SCHEMA,
        "sha256": digest,
        "epoch": epoch,
        "network": network.config.to_json(),
    }
    write_json(path.with_suffix(".json"), description)
    return digest


def read_checkpoint(path: Path) -> Checkpoint:
    """Read, verify and build a network.

    Raises:
        ModelError: missing, a pickle, changed since it was written, hostile, of another architecture, or not finite.
    """
    description = _read_description(path)
    data = _read_bytes(path)
    digest = sha256_bytes(data)
    if digest != description["sha256"]:
        raise ModelError(
            f"{path} has SHA-256 {digest[:12]}..., its JSON records {str(description['sha256'])[:12]}...; "
            "the file was damaged or changed: train again or use another checkpoint"
        )
    with torch.device("meta"):  # shapes only: nothing is allocated before the file is known to hold it
        shapes = CNN(description["network"]).state_dict()
    expected = {name: ("F32", tuple(tensor.shape)) for name, tensor in shapes.items()}
    check_entries(read_header(data, name=str(path)), expected, name=str(path))
    tensors = load(data)
    _check_finite(tensors, name=str(path))
    network = CNN(description["network"])
    network.load_state_dict(tensors)
    return Checkpoint(network=network.eval(), epoch=description["epoch"], sha256=digest, path=path)


def _read_description(path: Path) -> dict[str, Any]:
    beside = path.with_suffix(".json")
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path} is not a .safetensors checkpoint; pickle files are never opened because they run code"
        )
    try:
        value = json.loads(beside.read_bytes())
        if value["schema"] != CHECKPOINT_SCHEMA:
            raise ModelError(f"{beside} has schema {value['schema']!r}; expected {CHECKPOINT_SCHEMA!r}")
        return {"sha256": value["sha256"], "epoch": int(value["epoch"]), "network": NetworkConfig(**value["network"])}
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError, UsageError) as error:
        raise ModelError(f"{beside}, which describes the checkpoint, cannot be read: {error}") from error


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > CHECKPOINT_CAP_BYTES:
            raise ModelError(f"{path} has {size} bytes; the most a checkpoint may have is {CHECKPOINT_CAP_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the checkpoint {path}: {error.strerror}") from error


def _check_finite(tensors: dict[str, torch.Tensor], *, name: str) -> None:
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{name}: tensor {key!r} holds NaN or infinity; train again from an earlier checkpoint")
