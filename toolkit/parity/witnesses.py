"""Who is believed of a stranger's file: float64 and unoptimised ONNX Runtime, and where they part a third engine.

The derivation of every limit and the rules of belief: docs/decisions/0021-witnesses.md.
"""

from __future__ import annotations

__all__ = ["compute_feeds_reference"]

from dataclasses import replace
from functools import partial

import numpy as np

from toolkit.parity.agreement import LIMITS, RoundingLimits
from toolkit.parity.answers import Answers, Progress, ask_jitter, ask_witnesses
from toolkit.parity.budget import Budget
from toolkit.parity.expectations import Doubts, expect_calls, find_doubts, measure_errors, narrow_calls
from toolkit.parity.feed_bounds import describe_limit
from toolkit.parity.feed_reference import UNDECIDED, FeedExpectation, FeedsReference, Witnesses
from toolkit.parity.feeds import FeedSet
from toolkit.parity.parted_nodes import PartedNode, find_parted_nodes
from toolkit.parity.third_engines import FLOAT64, ORT, ThirdOpinion, ask_third_engines, find_ally
from toolkit.runtimes.source import ModelSource

# Calls in doubt that are looked into, node by node.
MOST_SEARCHED = 2
GROWTH = "rounding grows on the way, and where it does a bound at its cap decides nothing"
NEXT_ENGINE = "another engine may decide it: toolkit runtimes list says what brings one"


def compute_feeds_reference(
    source: ModelSource,
    sets: tuple[FeedSet, ...],
    *,
    precision: str = "fp32",
    budget: Budget | None = None,
    is_searched: bool = True,
    progress: Progress | None = None,
) -> FeedsReference:
    """Answer every call by independent witnesses, decide who is believed, and bound what rounding explains.

    Args:
        source: the model.
        sets: the calls.
        precision: arithmetic of the file.
        budget: of the answers; the default one if left out.
        is_searched: whether other engines are asked, and the nodes found, where the first two part.
        progress: called with the calls answered and how many are to be.

    Raises:
        ModelError: unoptimised ONNX Runtime cannot run the file, or answers the same call differently twice.
        WorkerError: a process ended.
    """
    answers = ask_witnesses(source, sets, budget or Budget(), progress)
    limits = LIMITS[precision]
    if answers.exact is None:
        return _without_float64(source, answers, limits, is_searched=is_searched)
    errors = measure_errors(answers.own, answers.exact)
    suites = expect_calls(answers.sets, answers.exact, answers.own, errors, limits)
    agreed = _agree(suites, errors, answers, limits)
    doubts = find_doubts(suites, errors)
    if not doubts.calls:
        return agreed
    nodes = _search(source, answers, doubts, limits) if is_searched else None
    if nodes:
        return _by_nodes(source, answers, agreed, nodes, limits)
    if not doubts.parted:
        return agreed
    if nodes is not None and all(np.isfinite(list(error.values())).all() for error in errors):
        words = f"{FLOAT64} and {ORT} part in {doubts.parted}, but no node does on the same inputs: {GROWTH}"
        return replace(agreed, witnesses=replace(agreed.witnesses, words=words))
    return _by_files(source, answers, agreed, doubts, limits, is_searched=is_searched)


def _agree(
    suites: tuple[FeedExpectation, ...], errors: list[dict[str, float]], answers: Answers, limits: RoundingLimits
) -> FeedsReference:
    """Return the reference of two witnesses that agree."""
    rule = (
        f"{limits.factor:g} x the error of unoptimised ONNX Runtime against onnx-float64 in the same call, "
        f"at least its median over the calls ({describe_limit(limits)})"
    )
    shares = [error / largest for name, error in errors[0].items() if (largest := suites[0].largest(name))]
    words = f"{FLOAT64} and {ORT} agree" + (f" within {max(shares):.1g} of the largest number" if shares else "")
    return FeedsReference(
        kind=FLOAT64,
        rule=rule,
        witnesses=Witnesses(believed=FLOAT64, agree=(FLOAT64, ORT), words=words),
        left_out=answers.left_out,
        suites=suites,
    )


def _search(
    source: ModelSource, answers: Answers, doubts: Doubts, limits: RoundingLimits
) -> tuple[PartedNode, ...] | None:
    """Look for the nodes that part in the first calls in doubt; None where a search would say nothing."""
    for number in doubts.calls[:MOST_SEARCHED]:
        nodes = find_parted_nodes(source, answers.sets[number].arrays, limits)
        if nodes or nodes is None:
            return nodes
    return ()


def _by_nodes(
    source: ModelSource,
    answers: Answers,
    agreed: FeedsReference,
    nodes: tuple[PartedNode, ...],
    limits: RoundingLimits,
) -> FeedsReference:
    """Believe whoever is right at every node that parts; nobody where that is not one and the same."""
    right = {node.opinion.agrees_with for node in nodes}
    believed = right.pop() if len(right) == 1 else ""
    witnesses = Witnesses(
        believed=believed,
        agree=tuple(dict.fromkeys((believed, *(node.opinion.engine for node in nodes)))) if believed else (),
        against=tuple(dict.fromkeys(name for node in nodes for name in node.against)),
        nodes=tuple(node.to_json() for node in nodes),
        words=_verdict(believed, "; ".join(node.describe() for node in nodes)),
    )
    return _believe(source, answers, agreed, witnesses, limits)


def _by_files(
    source: ModelSource,
    answers: Answers,
    agreed: FeedsReference,
    doubts: Doubts,
    limits: RoundingLimits,
    *,
    is_searched: bool,
) -> FeedsReference:
    """Ask other engines for the whole file, where its nodes cannot be run on their own."""
    number = doubts.calls[0]
    both = {FLOAT64: (answers.exact or answers.own)[number], ORT: answers.own[number]}
    compare = partial(find_ally, answers=both, allowed=limits.file)
    opinion = ask_third_engines(source, answers.sets[number].arrays, compare) if is_searched else ThirdOpinion()
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
    return _believe(source, answers, agreed, witnesses, limits)


def _without_float64(
    source: ModelSource, answers: Answers, limits: RoundingLimits, *, is_searched: bool
) -> FeedsReference:
    """Take ONNX Runtime for the reference, with another engine for a witness where one answers."""
    compare = partial(find_ally, answers={ORT: answers.own[0]}, allowed=limits.file)
    opinion = ask_third_engines(source, answers.sets[0].arrays, compare) if is_searched else ThirdOpinion()
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
        absent={FLOAT64: answers.why_not, **opinion.absent},
        words=_verdict(believed, f"there is no float64 evaluation ({answers.why_not}); {beside}"),
    )
    empty = FeedsReference(
        kind=ORT, rule="", why_not_float64=answers.why_not, witnesses=witnesses, left_out=answers.left_out, suites=()
    )
    return _believe(source, answers, empty, witnesses, limits)


def _believe(
    source: ModelSource, answers: Answers, known: FeedsReference, witnesses: Witnesses, limits: RoundingLimits
) -> FeedsReference:
    """Return the reference of the one that is believed, whose own rounding no second one measures.

    Where nobody is, the answers are kept for the errors' sake, and nothing is decided by them.
    """
    exact = answers.exact if witnesses.believed == FLOAT64 and answers.exact else answers.own
    kept = narrow_calls(exact, answers.own)
    suites = expect_calls(answers.sets, exact, kept, ask_jitter(source, answers.sets), limits)
    why_not = known.why_not_float64
    if witnesses.believed == ORT and not why_not:
        why_not = f"it is the one that is wrong: {witnesses.words}"
    return replace(
        known,
        kind=witnesses.believed or UNDECIDED,
        rule=(
            f"{limits.factor:g} x the change when weights and inputs move by one unit in the last place "
            f"({describe_limit(limits)})"
        ),
        why_not_float64=why_not,
        witnesses=witnesses,
        suites=suites,
    )


def _verdict(believed: str, why: str) -> str:
    if believed:
        return f"{believed} is believed: {why}"
    return f"nobody can be believed: {why}; {NEXT_ENGINE}"
