"""A module's tensors one after the other, in and out: what a graph has, whatever `forward` takes and returns."""

from __future__ import annotations

__all__ = ["FlatModule"]

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor, nn


class FlatModule(nn.Module):
    """A module behind a face of tensors only.

    Args:
        inner: the module.
        keywords: the parameters of its `forward` that the tensors are handed to; empty for their order.
    """

    def __init__(self, inner: nn.Module, keywords: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.inner = inner
        self._keywords = keywords

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return every tensor of what the module returns, in its order."""
        return tuple(tensor for _, tensor in self.answer(*tensors))

    def answer(self, *tensors: Tensor) -> list[tuple[str, Tensor]]:
        """Return every tensor of what the module returns with its name.

        Raises:
            TypeError: something in it is neither a tensor nor made of tensors.
        """
        if self._keywords:
            answer = self.inner(**dict(zip(self._keywords, tensors, strict=True)))
        else:
            answer = self.inner(*tensors)
        return list(_walk(answer, ""))


def _walk(value: Any, path: str) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors by name: keys and fields as they are, places in a tuple as numbers; None is passed over."""
    if isinstance(value, Tensor):
        yield path or "output", value
    elif value is not None:
        for name, part in _parts_of(value, path or "output"):
            yield from _walk(part, name)


def _parts_of(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    beneath = "" if path == "output" else f"{path}_"
    if isinstance(value, Mapping):
        yield from ((f"{beneath}{key}", part) for key, part in value.items())
    elif is_dataclass(value) and not isinstance(value, type):
        yield from ((f"{beneath}{item.name}", getattr(value, item.name)) for item in fields(value))
    elif hasattr(value, "_fields"):
        yield from ((f"{beneath}{name}", part) for name, part in zip(value._fields, value, strict=True))
    elif isinstance(value, tuple | list):
        yield from ((f"{path}_{number}", part) for number, part in enumerate(value))
    else:
        raise TypeError(f"{path} is a {type(value).__name__}, not a tensor")
