"""The tensors of a safetensors file that are believed: the format's own parser, and what it takes in silence."""

from __future__ import annotations

__all__ = ["load_tensors"]

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from toolkit.errors import ModelError


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
