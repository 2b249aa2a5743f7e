"""What a module answers by itself: as it is, and with every number widened to float64."""

from __future__ import annotations

__all__ = ["ModuleAnswers", "answer_calls", "widened"]

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from toolkit.environment import available_memory_bytes
from toolkit.errors import first_line
from toolkit.exporting.modules.borrowed import Borrowed
from toolkit.exporting.modules.example import to_tensors
from toolkit.parity.config import Budget
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.progress import ShowProgress
from toolkit.runtimes.base import Arrays

# So many of the largest tensor's size may be there at a time, with the working space of a convolution or an engine.
TENSORS_AT_ONCE = 8
NARROW = (torch.float32, torch.float16, torch.bfloat16)


class ModuleAnswers(NamedTuple):
    """What a module said.

    Attributes:
        answers: every output by name, by call.
        refused: what the module raised, by call.
        unasked: calls whose answers would have taken more time than the budget, or more memory than there is.
    """

    answers: dict[str, Arrays]
    refused: dict[str, str]
    unasked: tuple[str, ...]


def answer_calls(
    borrowed: Borrowed, sets: Sequence[FeedSet], *, budget: Budget, progress: ShowProgress
) -> ModuleAnswers:
    """Ask a module as many calls as fit into a budget and into memory; the first is always asked.

    Args:
        borrowed: a copy of the module.
        sets: the calls.
        budget: for all of them.
        progress: called with the calls done and their number.
    """
    answers: dict[str, Arrays] = {}
    refused: dict[str, str] = {}
    unasked: list[str] = []
    seconds_per_byte, largest_per_byte = math.inf, 0.0
    for number, feed in enumerate(sets):
        progress(number, len(sets))
        size = max(1, sum(array.nbytes for array in feed.arrays.values()))
        free = available_memory_bytes() or math.inf
        fits = TENSORS_AT_ONCE * largest_per_byte * size <= free
        if answers and not (fits and budget.allows(seconds_per_byte * size)):
            unasked.append(feed.name)
            continue
        start = time.monotonic()
        try:
            with _Measuring(borrowed.face) as seen:
                answers[feed.name] = _answer(borrowed, feed)
        except Exception as error:  # noqa: BLE001 - a module may raise whatever it likes
            refused[feed.name] = f"{type(error).__name__}: {first_line(error)}"
        else:
            # The first call warms up, and large ones cost less by the row.
            seconds_per_byte = min(seconds_per_byte, (time.monotonic() - start) / size)
            largest_per_byte = max(largest_per_byte, seen.largest_bytes / size)
    return ModuleAnswers(answers, refused, tuple(unasked))


@contextmanager
def widened(borrowed: Borrowed) -> Iterator[None]:
    """Let a module answer in float64, also where it makes tensors of its own; its weights stay wide afterwards."""
    module = borrowed.face.double()
    for part in module.modules():  # tensors that it has not registered
        for key, value in vars(part).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                setattr(part, key, value.double())
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widening():  # type: ignore[no-untyped-call]  # as above
            yield
    finally:
        torch.set_default_dtype(before)


class _Widening(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types there
    """Makes float64 of every narrower type that an operation is asked for by name: `x.float()`, `zeros(dtype=...)`."""

    supports_higher_order_operators = True  # torch.cond and the like are handed on as they are

    def __torch_dispatch__(self, func: Any, *told: Any) -> Any:
        _, args, named = told
        wide = {key: torch.float64 if value in NARROW else value for key, value in (named or {}).items()}
        return func(*args, **wide)


class _Measuring(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types there
    """Sees the largest tensor that a module makes; its weights do not grow with a call."""

    supports_higher_order_operators = True

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.largest_bytes = 0
        self._weights = {item.data_ptr() for item in (*module.parameters(), *module.buffers())}

    def __torch_dispatch__(self, func: Any, *told: Any) -> Any:
        _, args, named = told
        answer = func(*args, **(named or {}))
        parts = answer if isinstance(answer, tuple | list) else (answer,)
        made = [part.nbytes for part in parts if isinstance(part, Tensor) and part.data_ptr() not in self._weights]
        self.largest_bytes = max([self.largest_bytes, *made])
        return answer


def _answer(borrowed: Borrowed, feed: FeedSet) -> Arrays:
    is_wide = torch.get_default_dtype() == torch.float64
    tensors = to_tensors(feed.arrays)
    answer = borrowed.face(*(item.double() if is_wide and item.is_floating_point() else item for item in tensors))
    return {name: tensor.numpy().copy() for name, tensor in zip(borrowed.outputs, answer, strict=True)}
