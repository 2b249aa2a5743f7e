"""Who is believed of a stranger's file: float64 and unoptimised ONNX Runtime, and where they part a third engine.

The derivation of every limit and the rules of belief: docs/decisions/0021-witnesses.md.
"""

from __future__ import annotations

__all__ = ["MOVED", "compute_feeds_reference"]

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from toolkit.errors import WorkerError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.config import Budget
from toolkit.parity.references.answers import WitnessAnswers, ask_jitter, ask_witnesses
from toolkit.parity.references.expectations import (
    Doubts,
    describe_limit,
    expect_calls,
    find_doubts,
    measure_errors,
    narrow_calls,
)
from toolkit.parity.references.feeds import UNDECIDED, FeedExpectation, FeedsReference, Witnesses
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.parted_nodes import PartedNode, find_parted_nodes
from toolkit.parity.references.rounding_limits import LIMITS, RoundingLimits
from toolkit.parity.references.third_engines import FLOAT64, ORT, ThirdOpinion, ask_third_engines, find_ally
from toolkit.progress import OnNote, ShowProgress, tell_nobody
from toolkit.runtimes.base import Arrays
from toolkit.runtimes.workers.client import Opener, open_worker

# Calls in doubt that are looked into, node by node.
MOST_SEARCHED = 2
# With less left of the budget nothing more is asked.
LEAST_S = 5.0
CHEAP_SHARE = 0.25
MOST_S = 120.0
MOVED = "the change when weights and inputs move by one unit in the last place"
ELSEWHERE = "the other calls agree and are judged, that one is left open"
GROWTH = "rounding grows on the way, and where it does a bound at its cap decides nothing"
NEXT_ENGINE = "another engine may decide it: toolkit runtimes list says what brings one"


def compute_feeds_reference(
    source: ModelSource,
    sets: tuple[FeedSet, ...],
    *,
    precision: str = "fp32",
    budget: Budget | None = None,
    is_searched: bool = True,
    opener: Opener = open_worker,
    progress: ShowProgress = tell_nobody,
    say: OnNote | None = None,
) -> FeedsReference:
    """Answer every call by independent witnesses, decide who is believed, and bound what rounding explains.

    Args:
        source: the model.
        sets: the calls.
        precision: arithmetic of the file.
        budget: of the answers; the default one if left out.
        is_searched: whether other engines are asked, and the nodes found, where the first two part.
        opener: opens the file in each of them.
        progress: called with the calls answered and how many are to be.
        say: told in a line what takes time beside them.

    Raises:
        ModelError: unoptimised ONNX Runtime cannot run the file, or answers the same call differently twice.
        WorkerError: a process ended.
    """
    budget = budget or Budget()
    hearing = _Hearing(
        source=source,
        answers=ask_witnesses(source, sets, budget=budget, opener=opener, progress=progress),
        limits=LIMITS[precision],
        budget=budget,
        is_searched=is_searched,
        opener=opener,
        say=say or (lambda _: None),
    )
    return hearing.decide() if hearing.answers.exact is not None else hearing.go_without_float64()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hearing:
    """What the first two said, and how far others may be asked."""

    source: ModelSource
    answers: WitnessAnswers
    limits: RoundingLimits
    budget: Budget
    is_searched: bool
    opener: Opener
    say: OnNote

    def decide(self) -> FeedsReference:
        """Return the reference of the witnesses that agree, or of the one that others agree with."""
        own, exact = self.answers.own, self.answers.exact or []
        errors = measure_errors(own, exact)
        suites = expect_calls(self.answers.sets, exact, own=own, errors=errors, limits=self.limits)
        agreed = self._agree(suites, errors)
        doubts = find_doubts(suites, errors)
        if not doubts.calls:
            return self._with_steps(agreed)
        nodes = self._find_nodes(doubts) if self._may_search(agreed) else None
        if nodes:
            return self._by_nodes(nodes)
        if not doubts.parted:
            return self._with_steps(agreed)
        # Where an error is no number the shapes or infinities differ, which no rounding on the way explains.
        has_numbers = all(np.isfinite(list(error.values())).all() for error in errors)
        if agreed.open_question and not (nodes == () and has_numbers):
            return self._by_files(doubts)
        seen = f"{FLOAT64} and {ORT} part in {doubts.parted}"
        words = f"{seen}, but no node does on the same inputs: {GROWTH}" if nodes == () else f"{seen}; {ELSEWHERE}"
        return replace(agreed, witnesses=replace(agreed.witnesses, words=words))

    def go_without_float64(self) -> FeedsReference:
        """Take ONNX Runtime for the reference, with another engine for a witness where one answers."""
        why_not = self.answers.why_not
        opinion = self._ask(0, {ORT: self.answers.own[0]})
        believed = "" if opinion.against and not opinion.engine else ORT
        if opinion.engine:
            beside = f"{opinion.engine} agrees with it"
        elif opinion.against:
            beside = f"{' and '.join(opinion.against)} answers something else"
        else:
            beside = f"it stands alone and is held against itself: {opinion.describe()}"
        witnesses = Witnesses(
            believed=believed,
            agree=tuple(filter(None, (believed, opinion.engine))),
            against=opinion.against if believed else (ORT, *opinion.against),
            absent={FLOAT64: why_not, **opinion.absent},
            words=_verdict(believed, f"there is no float64 evaluation ({why_not}); {beside}"),
        )
        return self._believe(witnesses)

    def _agree(self, suites: tuple[FeedExpectation, ...], errors: list[dict[str, float]]) -> FeedsReference:
        """Return the reference of two witnesses that agree."""
        rule = (
            f"{self.limits.factor:g} x the error of unoptimised ONNX Runtime against onnx-float64 in the same call, "
            f"at least its median over the calls ({describe_limit(self.limits)})"
        )
        shares = [error / largest for name, error in errors[0].items() if (largest := suites[0].largest(name))]
        words = f"{FLOAT64} and {ORT} agree" + (f" within {max(shares):.1g} of the largest number" if shares else "")
        witnesses = Witnesses(believed=FLOAT64, agree=(FLOAT64, ORT), words=words)
        left_out = self.answers.explain_left(self.budget)
        return FeedsReference(kind=FLOAT64, rule=rule, witnesses=witnesses, left_out=left_out, suites=suites)

    def _with_steps(self, agreed: FeedsReference) -> FeedsReference:
        """Return the reference of a file of 8 bits with what its steps can do, of which one run may have met none.

        Where a number lies at the edge of a step, any other order of operations may end on its other side.
        """
        if self.limits != LIMITS["int8"]:
            return agreed
        _, moved = self._move()
        suites = tuple(
            replace(entry, steps={name: self.limits.factor * far[name] for name in entry.bounds if far[name]})
            for entry, far in zip(agreed.suites, moved, strict=False)  # the budget may have ended the second
        )
        return replace(agreed, suites=(*suites, *agreed.suites[len(suites) :]))

    def _move(self) -> tuple[WitnessAnswers, list[dict[str, float]]]:
        """Measure how far rounding moves the answers, in as many calls as the budget allows."""
        self.say("measuring how far rounding moves the answers")
        moved = ask_jitter(self.source, self.answers.sets, budget=self.budget, opener=self.opener)
        return self.answers.cut(len(moved)), moved

    def _may_search(self, agreed: FeedsReference) -> bool:
        """Tell whether the nodes are looked at: where most calls agree anyway, only if it costs little."""
        return self._may_ask() and bool(self.budget.spent_share < CHEAP_SHARE or agreed.open_question)

    def _find_nodes(self, doubts: Doubts) -> tuple[PartedNode, ...] | None:
        """Look for the nodes that part in the first calls in doubt; None where a search would say nothing."""
        self.say(f"{FLOAT64} and {ORT} differ: looking for the node at which they part")
        for number in doubts.calls[:MOST_SEARCHED]:
            feeds = self.answers.sets[number].arrays
            try:
                nodes = find_parted_nodes(
                    self.source, feeds, limits=self.limits, opener=self.opener, timeout_s=self._timeout_s()
                )
            except WorkerError:  # with every tensor at hand a file takes more memory and time than without
                return None
            if nodes or nodes is None:
                return nodes
        return ()

    def _by_nodes(self, nodes: tuple[PartedNode, ...]) -> FeedsReference:
        """Believe whoever is right at every node that parts; nobody where that is not one and the same."""
        right = {node.opinion.agrees_with for node in nodes}
        believed = right.pop() if len(right) == 1 else ""
        is_open = any(node.opinion.why_nobody for node in nodes)
        witnesses = Witnesses(
            believed=believed,
            agree=tuple(dict.fromkeys((believed, *(node.opinion.engine for node in nodes)))) if believed else (),
            against=tuple(dict.fromkeys(name for node in nodes for name in node.against)),
            nodes=tuple(node.to_json() for node in nodes),
            words=_verdict(believed, "; ".join(node.describe() for node in nodes), is_open=is_open),
        )
        return self._believe(witnesses)

    def _by_files(self, doubts: Doubts) -> FeedsReference:
        """Ask other engines for the whole file, where its nodes cannot be run on their own."""
        number = doubts.calls[0]
        both = {FLOAT64: (self.answers.exact or self.answers.own)[number], ORT: self.answers.own[number]}
        opinion = self._ask(number, both)
        believed = opinion.agrees_with
        seen = f"{FLOAT64} and {ORT} part in {doubts.parted}"
        seen += f", and {opinion.engine} agrees with {believed}" if believed else f"; {opinion.describe()}"
        witnesses = Witnesses(
            believed=believed,
            agree=(believed, opinion.engine) if believed else (),
            against=(*(name for name in both if name != believed), *opinion.against),
            absent=opinion.absent,
            words=_verdict(believed, seen),
        )
        return self._believe(witnesses)

    def _ask(self, number: int, answers: Mapping[str, Arrays]) -> ThirdOpinion:
        """Ask other engines for one call of the whole file."""
        if not self._may_ask():
            why = f"no other engine is asked: {self.budget.describe()} is spent" if self.is_searched else ""
            return ThirdOpinion(why_nobody=why)
        self.say(f"asking another engine than {' and '.join(answers)}")
        compare = partial(find_ally, answers=answers, allowed=self.limits.file)
        feeds, timeout_s = self.answers.sets[number].arrays, self._timeout_s()
        return ask_third_engines(self.source, feeds, compare=compare, opener=self.opener, timeout_s=timeout_s)

    def _may_ask(self) -> bool:
        return self.is_searched and self.budget.allows(LEAST_S)

    def _timeout_s(self) -> float:
        return min(MOST_S, self.budget.remaining_s)

    def _believe(self, witnesses: Witnesses) -> FeedsReference:
        """Return the reference of the one that is believed, whose own rounding no second one measures.

        Where nobody is, the answers are kept for the errors' sake, and nothing is decided by them.
        """
        answers, moved = self._move()
        exact = answers.exact if witnesses.believed == FLOAT64 and answers.exact else answers.own
        kept = narrow_calls(exact, answers.own)
        return FeedsReference(
            kind=witnesses.believed or UNDECIDED,
            rule=f"{self.limits.factor:g} x {MOVED} ({describe_limit(self.limits)})",
            witnesses=witnesses,
            left_out=answers.explain_left(self.budget),
            suites=expect_calls(answers.sets, exact, own=kept, errors=moved, limits=self.limits),
        )


def _verdict(believed: str, why: str, *, is_open: bool = False) -> str:
    """Return who is believed, and why; another engine is the next step where the standard leaves nothing open."""
    if believed:
        return f"{believed} is believed: {why}"
    return f"nobody can be believed: {why}" + ("" if is_open else f"; {NEXT_ENGINE}")
