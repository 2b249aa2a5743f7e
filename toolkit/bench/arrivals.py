"""What a row tells of a server: what was answered, how late the client itself was, and which rate the server holds."""

from __future__ import annotations

__all__ = ["ArrivalFacts", "tell_arrivals"]

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.bench.measuring.capacity import CLOSED_S, RateRun, TriedRate, bracket, list_rates, windows_at
from toolkit.bench.statistics import THROUGHPUT, nearest_rank, sample_floor
from toolkit.counts import count_of
from toolkit.runtimes.timing.plan import MeasurePlan, Window

# A client is told of as late where this much of a row's p99 is its own doing.
LATE_SHARE = 0.1


class ArrivalFacts(NamedTuple):
    """Of one row.

    Attributes:
        windows: what its figures are made of.
        problem: why it failed; empty where it did not.
        notes: what has to be known about it, one line each.
        fields: of the row.
        interval: items a second between which a capacity lies, where both ends are known.
    """

    windows: Sequence[Window]
    problem: str
    notes: tuple[str, ...]
    fields: dict[str, Any]
    interval: list[float] | None = None


def tell_arrivals(windows: Sequence[Window], plan: MeasurePlan, *, batch: int) -> ArrivalFacts:
    """Return what a row tells of the server that it asked; nothing where none was.

    Args:
        windows: in the order measured.
        plan: of the whole row.
        batch: items in a request.
    """
    if plan.scenario == "capacity":
        return _tell_capacity(windows, plan, batch=batch)
    if windows[0].lags_ns is None:
        return ArrivalFacts(windows, "", (), {})
    fields = _count(windows)
    answers, client = fields["answers"], fields["client"]
    missed = answers["refused"] + answers["failed"]
    problem = (
        f"{missed:,} of {count_of(answers['offered'], 'request')} had no answer ({answers['first_missed']}); the "
        "latencies are those of the answered ones"
        if missed
        else ""
    )
    return ArrivalFacts(windows, problem, _note_client(windows, client), fields)


def _tell_capacity(windows: Sequence[Window], plan: MeasurePlan, *, batch: int) -> ArrivalFacts:
    tried = list_rates(plan, windows)
    held, missed = bracket(tried)
    fields: dict[str, Any] = {"rates": [rate.to_json() for rate in tried]}
    if held is None:
        return ArrivalFacts((), _explain_none(windows, plan, missed=missed), (), fields)
    own = windows_at(held.rate, windows)
    is_clients = missed is None or missed.verdict == "client"
    fields |= _count(own) | {THROUGHPUT: held.rate * batch, "spread": None, "stable": None}
    # The truth lies between the highest rate that holds and the lowest that does not, if that is the server's doing.
    interval = None if missed is None or is_clients else [rate.rate * batch for rate in (held, missed)]
    notes: tuple[str, ...] = ()
    if missed is not None and is_clients:
        last = missed.runs[-1]
        words = f"at {missed.rate:g} it was the client that could not keep up ({_describe_client(last)})"
        notes = (f"at least {held.rate:g} requests a second: {words}, so that nothing is known of the server there",)
    return ArrivalFacts(own, "", notes, fields, interval)


def _explain_none(windows: Sequence[Window], plan: MeasurePlan, *, missed: TriedRate | None) -> str:
    closed = windows[0]
    if missed is None:
        if not closed.samples_ns.size:
            return f"no request was answered ({closed.facts.get('first_missed', '')})"
        return (
            f"it answers {closed.samples_ns.size} requests in {CLOSED_S:g} s, too few for a p99 of "
            f"{sample_floor('p99')} in a minute"
        )
    last = missed.runs[-1]
    if missed.verdict == "client":
        return f"the client itself is too slow at {missed.rate:g} requests a second ({_describe_client(last)})"
    p99 = f"p99 is {last.p99_ms:.3g} ms" if last.p99_ms is not None else "over 1 % have no answer"
    return (
        f"no rate that was tried holds {plan.max_p99_ms:g} ms; at the lowest, {missed.rate:g} requests a second, {p99} "
        f"({last.refused} of {last.offered} refused, {last.failed} failed)"
    )


def _describe_client(run: RateRun) -> str:
    lag, share = run.client_lag_p99_ms, run.client_share
    words = [] if lag is None else [f"99 % went out within {lag:.3g} ms of their moment"]
    return ", ".join([*words, *([] if share is None else [f"it used {share:.0%} of a core"])])


def _count(windows: Sequence[Window]) -> dict[str, Any]:
    refused, failed = (sum(window.facts.get(name, 0) for window in windows) for name in ("refused", "failed"))
    answered = sum(window.samples_ns.size for window in windows)
    lags = np.sort(np.concatenate([window.lags_ns for window in windows if window.lags_ns is not None]))
    elapsed_s, own_s = (sum(window.facts.get(name, 0.0) for window in windows) for name in ("elapsed_s", "own_cpu_s"))
    return {
        "answers": {
            "offered": answered + refused + failed,
            "refused": refused,
            "failed": failed,
            "first_missed": next((words for window in windows if (words := window.facts.get("first_missed"))), ""),
        },
        "client": {
            "cpu_share": own_s / elapsed_s if elapsed_s else None,
            "lag_p99_ms": nearest_rank(lags, "p99") / 1e6 if lags.size else None,
            "lag_max_ms": int(lags[-1]) / 1e6 if lags.size else None,
        },
    }


def _note_client(windows: Sequence[Window], client: dict[str, float | None]) -> tuple[str, ...]:
    samples, lag = np.concatenate([window.samples_ns for window in windows]), client["lag_p99_ms"]
    if lag is None or lag < LATE_SHARE * nearest_rank(np.sort(samples), "p99") / 1e6:
        return ()
    share = f"; it used {client['cpu_share']:.0%} of a core" if client["cpu_share"] is not None else ""
    return (f"the client was late itself, 1 % of the requests by more than {lag:.3g} ms, which latencies hold{share}",)
