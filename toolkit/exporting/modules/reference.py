"""What a module's file is held against: the module's own answers in float64, and what rounding explains beside them."""

from __future__ import annotations

__all__ = ["MODULE_FLOAT64", "ask_module"]

from toolkit.errors import CheckFailedError, ModelError
from toolkit.exporting.modules.answers import ModuleAnswers, answer_calls, widened
from toolkit.exporting.modules.borrowed import Borrowed
from toolkit.exporting.modules.example import make_calls
from toolkit.parity.config import Budget
from toolkit.parity.references.expectations import describe_limit, expect_calls, measure_errors
from toolkit.parity.references.feeds import NEXT_STEP, FeedsReference, Witnesses
from toolkit.parity.references.rounding_limits import LIMITS
from toolkit.progress import ShowWork

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
        own = answer_calls(borrowed, sets, budget=budget, progress=bar)
        if own.refused:  # some columns of whole numbers may take fewer values than others
            sets = make_calls(borrowed.example, shuffled=False)
            own = answer_calls(borrowed, sets, budget=budget, progress=bar)
    sets = tuple(feed for feed in sets if feed.name in own.answers)
    with progress("asking the module in float64", unit="calls") as bar, widened(borrowed):
        exact = answer_calls(borrowed, sets, budget=budget, progress=bar)
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


def _explain_left(own: ModuleAnswers, exact: ModuleAnswers, *, budget: Budget) -> tuple[str, ...]:
    refused, unasked = own.refused | exact.refused, (*exact.unasked, *own.unasked)
    lines = []
    if refused:
        why = next(iter(refused.values()))
        lines.append(f"not proven at {', '.join(refused)}: the module itself refuses it ({why})")
    if unasked:
        words = f"the module's own answers would take more than {budget.describe()} or the memory that is free"
        lines.append(f"not proven at {', '.join(unasked)}: {words}")
    return tuple(lines)
