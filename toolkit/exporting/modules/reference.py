"""What a module's file is held against: the module's own answers in float64, and what rounding explains beside them."""

from __future__ import annotations

__all__ = ["MODULE_FLOAT64", "ask_module"]

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from toolkit.environment import available_memory_bytes
from toolkit.errors import CheckFailedError, ModelError, first_line
from toolkit.exporting.modules.borrowed import Borrowed
from toolkit.exporting.modules.example import make_calls, to_tensors
from toolkit.parity.config import Budget
from toolkit.parity.references.expectations import describe_limit, expect_calls, measure_errors
from toolkit.parity.references.feeds import NEXT_STEP, FeedsReference, Witnesses
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.rounding_limits import LIMITS
from toolkit.progress import ShowProgress, ShowWork
from toolkit.runtimes.base import Arrays

# So many of the largest tensor's size may be there at a time, with the working space of a convolution or an engine.
TENSORS_AT_ONCE = 8
NARROW = (torch.float32, torch.float16, torch.bfloat16)

MODULE_FLOAT64 = "pytorch-float64"


def ask_module(borrowed: Borrowed, *, budget_s: float, progress: ShowWork) -> FeedsReference:
    """Let a module answer calls of every size, as it is and in float64, and bound what rounding explains.

    No engine has run its file yet: the bound follows from what the module itself makes in its own arithmetic.

    Args:
        borrowed: a copy of the module; its weights are float64 when this returns.
        budget_s: seconds for all answers.
        progress: told what is being done.

    Raises:
        ModelError: the module gives no answer in float64.
        CheckFailedError: its answers to this example decide nothing.
    """
    budget, sets = Budget(seconds=budget_s), make_calls(borrowed.example)
    with progress("asking the module itself", unit="calls") as bar:
        own = _answer_calls(borrowed, sets, budget=budget, progress=bar)
        if own.refused:  # some columns of whole numbers may take fewer values than others
            sets = make_calls(borrowed.example, shuffled=False)
            own = _answer_calls(borrowed, sets, budget=budget, progress=bar)
    sets = tuple(feed for feed in sets if feed.name in own.answers)
    with progress("asking the module in float64", unit="calls") as bar, _widened(borrowed):
        exact = _answer_calls(borrowed, sets, budget=budget, progress=bar)
    if not exact.answers:
        why = next(iter(exact.refused.values()))
        raise ModelError(f"the module does not run in float64, which its file is held against: {why}")
    sets = tuple(feed for feed in sets if feed.name in exact.answers)
    narrow, wide = ([said.answers[feed.name] for feed in sets] for said in (own, exact))
    limits, precision = LIMITS[borrowed.precision], borrowed.precision
    reference = FeedsReference(
        kind=MODULE_FLOAT64,
        rule=(
            f"{limits.factor:g} x the module's own error in {precision} in the same call, at least its median over the "
            f"calls ({describe_limit(limits)})"
        ),
        witnesses=Witnesses(
            believed=MODULE_FLOAT64,
            agree=(MODULE_FLOAT64, f"pytorch {precision}"),
            words="the module that was exported gave the answers itself, in float64",
        ),
        left_out=_explain_left(own, exact, budget=budget),
        suites=expect_calls(sets, wide, own=narrow, errors=measure_errors(narrow, wide), limits=limits),
    )
    if question := reference.open_question.removesuffix(f"; {NEXT_STEP}"):
        raise CheckFailedError(f"nothing can be proven here: {question}; give an example of typical numbers")
    return reference


def _explain_left(own: _ModuleAnswers, exact: _ModuleAnswers, *, budget: Budget) -> tuple[str, ...]:
    refused, unasked = own.refused | exact.refused, (*exact.unasked, *own.unasked)
    lines = []
    if refused:
        why = next(iter(refused.values()))
        lines.append(f"not proven at {', '.join(refused)}: the module itself refuses it ({why})")
    if unasked:
        words = f"the module's own answers would take more than {budget.describe()} or the memory that is free"
        lines.append(f"not proven at {', '.join(unasked)}: {words}")
    return tuple(lines)


class _ModuleAnswers(NamedTuple):
    """What a module said.

    Attributes:
        answers: every output by name, by call.
        refused: what the module raised, by call.
        unasked: calls whose answers would have taken more time than the budget, or more memory than there is.
    """

    answers: dict[str, Arrays]
    refused: dict[str, str]
    unasked: tuple[str, ...]


def _answer_calls(
    borrowed: Borrowed, sets: Sequence[FeedSet], *, budget: Budget, progress: ShowProgress
) -> _ModuleAnswers:
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
    return _ModuleAnswers(answers, refused, tuple(unasked))


@contextmanager
def _widened(borrowed: Borrowed) -> Iterator[None]:
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
