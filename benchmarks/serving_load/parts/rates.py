"""The highest rate of every server, by a closed loop, one picture and many a request, in turns."""

from __future__ import annotations

__all__ = ["measure"]

import statistics
from collections.abc import Sequence
from typing import Any

from serving_load.clients import Closed, run_wrk
from serving_load.experiment import CLIENT_CORE, MANY, Experiment


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each server and size of a request: the medians of its turns."""
    found: dict[tuple[str, int], list[Closed]] = {}
    for turn in range(experiment.turns):
        for name in experiment.names if turn % 2 == 0 else reversed(experiment.names):
            with experiment.start(name) as server:
                for count in (1, MANY):
                    wire = experiment.wire(count, name)
                    run_wrk(server, wire, seconds=1, core=CLIENT_CORE)
                    closed = run_wrk(server, wire, seconds=experiment.seconds, core=CLIENT_CORE)
                    found.setdefault((name, count), []).append(closed)
    return [
        _row_of(name, count, turns=turns, words=experiment.wire(1, name).words)
        for (name, count), turns in sorted(found.items(), key=lambda item: item[0][1])
    ]


def _row_of(name: str, count: int, *, turns: Sequence[Closed], words: str) -> dict[str, Any]:
    def middle(key: str) -> float:
        return statistics.median(getattr(turn, key) for turn in turns)

    rate, share = middle("rate"), middle("server_share")
    return {
        "server": name,
        "wire": words,
        "pictures": count,
        "requests_per_s": round(rate, 1),
        "of_each_turn": [round(turn.rate, 1) for turn in turns],
        "pictures_per_s": round(rate * count, 1),
        "errors": sum(turn.errors for turn in turns),
        "server_share": round(share, 3),
        "client_share": round(middle("client_share"), 3),
        "requests_per_server_cpu_s": round(rate / share, 1) if share else None,
    }
