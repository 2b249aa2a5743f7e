"""Whether `/metrics` tells what the client saw: requests answered, refused, failed and malformed, by their status."""

from __future__ import annotations

__all__ = ["measure"]

import re
import urllib.request
from collections import Counter
from dataclasses import replace
from typing import Any

from serving_load.clients import BROKEN, run_arrivals, run_wrk
from serving_load.experiment import CLIENT_CORE, OVERLOADED, Experiment
from serving_load.servers import RunningServer

# Of all requests: those that are answered, those that are malformed, and those that come at once and are too many.
CALM, MALFORMED, TOO_MANY = 0.9, 0.05, 0.05
# Of the rate that a closed loop is answered at: calm, and far too many.
CALM_RATE, TOO_MANY_RATE = 0.8, 3.0
LINE = re.compile(r'^toolkit_requests_total\{code="(\d+)",.*\} ([\d.e+]+)$', re.MULTILINE)
ROWS = re.compile(r"^toolkit_rows_total\{.*\} (\S+)$", re.MULTILINE)


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row for each status: what the client counted, and what the server did."""
    seen: Counter[int] = Counter()
    single, many = experiment.wire(1), experiment.wire(OVERLOADED)
    # A header that promises one byte more than comes.
    broken = replace(single, body=single.body[:-1])
    with experiment.start() as server:
        rate = run_wrk(server, single, seconds=experiment.seconds, core=CLIENT_CORE).rate
        full = run_wrk(server, many, seconds=experiment.seconds, core=CLIENT_CORE).rate
        before = _read(server)
        rows = _read_rows(server)
        plans = (
            (single, CALM_RATE * rate, CALM),
            (broken, CALM_RATE * rate, MALFORMED),
            (many, TOO_MANY_RATE * full, TOO_MANY),
        )
        served_rows = 0
        for seed, (wire, at, share) in enumerate(plans):
            seconds = share * experiment.requests / at
            told = run_arrivals(server.port, wire, rate=at, seconds=seconds, seed=seed)
            seen += told.statuses
            served_rows += told.statuses[200] * (OVERLOADED if wire is many else 1)
        counted = _read(server) - before
        counted_rows = _read_rows(server) - rows
    codes = sorted({*seen, *counted} - {BROKEN})
    told_rows = [_row(str(code), seen[code], counted[code]) for code in codes]
    total = _row("all", seen.total() - seen[BROKEN], counted.total())
    return [*told_rows, {**total, "without_an_answer": seen[BROKEN]}, _row("rows answered", served_rows, counted_rows)]


def _row(name: str, client: int, server: int) -> dict[str, Any]:
    return {"status": name, "client": client, "metrics": server, "equal": client == server}


def _page(server: RunningServer) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def _read(server: RunningServer) -> Counter[int]:
    return Counter({int(code): int(float(count)) for code, count in LINE.findall(_page(server))})


def _read_rows(server: RunningServer) -> int:
    return sum(int(float(count)) for count in ROWS.findall(_page(server)))
