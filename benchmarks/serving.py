r"""How much of an engine's rate is left behind a port: `toolkit serve` beside LitServe, mosec and MLServer.

Server and client have a core each; servers take turns, A B B A; both shares of a core and the engine's own rate stand
in the same table. The peers need environments of their own:

    python -m venv peers && peers/bin/pip install litserve mosec onnxruntime numpy
    python -m venv mlserver && mlserver/bin/pip install mlserver onnxruntime
    python benchmarks/serving.py MODEL --litserve peers/bin/python --mosec peers/bin/python \
        --mlserver mlserver/bin/python

`wrk` comes from the system: apt-get install wrk.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from serving_load.clients import Arrivals, Closed, run_arrivals, run_wrk
from serving_load.servers import SERVERS, RunningServer, run_server

from toolkit.environment import describe_environment

SERVER_CORE, CLIENT_CORE = 0, 1
MANY = 32
# What the product is asked in when more comes than it can serve.
OVERLOADED = 64


def main() -> None:
    """Measure what was asked for and print it as JSON."""
    arguments = _read_arguments()
    os.sched_setaffinity(0, {CLIENT_CORE})
    images = np.random.default_rng(0).integers(0, 256, (OVERLOADED, 28, 28), np.uint8)
    report: dict[str, Any] = {"environment": describe_environment(), "model": str(arguments.model)}
    report["engine"] = _measure_engine(arguments.model, (1, MANY, OVERLOADED))
    parts = {"rates": _rates, "latency": _latency, "overload": _overload, "ends": _ends, "capacity": _capacity}
    for name in arguments.parts.split(","):
        report[name] = parts[name](arguments, images)
        print(json.dumps({name: report[name]}, indent=1), file=sys.stderr)
    print(json.dumps(report, indent=1))


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--parts", default="rates,latency,overload,ends,capacity")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--max-p99-ms", type=float, default=20.0)
    for name in ("litserve", "mosec", "mlserver"):
        parser.add_argument(f"--{name}", default="")
    return parser.parse_args()


def _rates(arguments: argparse.Namespace, images: Any) -> list[dict[str, Any]]:
    """Return a row for each server and size of a request: the medians of its turns."""
    names = [name for name in SERVERS if _python_of(name, arguments)]
    found: dict[tuple[str, int], list[Closed]] = {}
    for turn in range(arguments.turns):
        for name in names if turn % 2 == 0 else reversed(names):
            with _start(name, arguments) as server:
                for count in (1, MANY):
                    wire = SERVERS[name](images[:count])
                    run_wrk(server, wire, seconds=1, core=CLIENT_CORE)
                    closed = run_wrk(server, wire, seconds=arguments.seconds, core=CLIENT_CORE)
                    found.setdefault((name, count), []).append(closed)
    return [
        _row_of(name, count, turns=turns, words=SERVERS[name](images).words) for (name, count), turns in found.items()
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


def _measure_engine(model: Path, batches: Sequence[int]) -> list[dict[str, float]]:
    """Return the rate of the engine alone on the server's core, one thread, batch by batch."""
    code = f"""
import json, os, sys, time
import numpy as np
os.sched_setaffinity(0, {{{SERVER_CORE}}})
sys.path.insert(0, {str(Path(__file__).parent / "serving_load" / "peers")!r})
from engine import open_model
session, rows = open_model(sys.argv[1]), []
for batch in {list(batches)}:
    feeds, times, end = {{"images": np.zeros((batch, 28, 28), np.uint8)}}, [], time.perf_counter() + 2
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - start)
    half = times[len(times) // 4:]
    rate, p50_s = batch * len(half) / sum(half), float(np.median(half))
    rows.append({{"pictures": batch, "p50_ms": p50_s * 1e3, "pictures_per_s": rate}})
print(json.dumps(rows))
"""
    told = subprocess.run([sys.executable, "-c", code, str(model)], check=True, capture_output=True, text=True).stdout
    rows: list[dict[str, float]] = json.loads(told)
    return rows


def _latency(arguments: argparse.Namespace, images: Any) -> list[dict[str, Any]]:
    """Return latencies of one picture at a tenth and at half of the rate that the server has."""
    rows = []
    with _start("toolkit", arguments) as server:
        wire = SERVERS["toolkit"](images[:1])
        most = run_wrk(server, wire, seconds=arguments.seconds, core=CLIENT_CORE).rate
        for share in (0.1, 0.5):
            told = run_arrivals(server.port, wire, rate=most * share, seconds=arguments.seconds)
            rows.append({"share_of_rate": share, "rate": round(most * share), **_tell(told)})
    return rows


def _overload(arguments: argparse.Namespace, images: Any) -> list[dict[str, Any]]:
    """Return what becomes of three times more than the server can do, with large requests and with small ones."""
    rows = []
    for count, seconds in ((OVERLOADED, arguments.seconds * 5), (1, arguments.seconds)):
        with _start("toolkit", arguments) as server:
            wire = SERVERS["toolkit"](images[:count])
            most = run_wrk(server, wire, seconds=arguments.seconds, core=CLIENT_CORE).rate
            before = server.memory_bytes()
            health = _Health(server)
            told = run_arrivals(server.port, wire, rate=3 * most, seconds=seconds)
            rows.append(
                {
                    "pictures": count,
                    "capacity": round(most, 1),
                    "goodput_of_capacity": round(told.statuses[200] / told.seconds / most, 3),
                    "unexplained": told.offered - sum(told.statuses[status] for status in (200, 429, 503, 504)),
                    "memory_growth": round(server.memory_bytes() / before - 1, 3),
                    "health_p99_ms": health.end(),
                    "health_failures": health.failures[:3],
                    **_tell(told),
                }
            )
    return rows


class _Health(threading.Thread):
    """Asks for health ten times a second, in a thread of the client's."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{server.port}/v2/health/ready"
        self._is_over, self._times = threading.Event(), []
        self.failures: list[str] = []
        self.start()

    def run(self) -> None:
        while not self._is_over.wait(0.1):
            start = time.perf_counter()
            try:
                with urllib.request.urlopen(self._url, timeout=10) as answer:
                    answer.read()
            except OSError as error:
                self.failures.append(str(error))
            self._times.append(time.perf_counter() - start)

    def end(self) -> float:
        """Return the 99th percentile in ms."""
        self._is_over.set()
        self.join()
        return round(float(np.quantile(self._times, 0.99)) * 1e3, 2)


def _ends(arguments: argparse.Namespace, images: Any) -> dict[str, Any]:
    """Return what became of requests that were under way when the server was ended, twenty times."""
    total: dict[str, int] = {"offered": 0, "served": 0, "refused": 0, "lost": 0, "ended_with_0": 0}
    for number in range(20):
        with _start("toolkit", arguments) as server:
            timer = threading.Timer(1.0, server.process.terminate)
            timer.start()
            told = run_arrivals(server.port, SERVERS["toolkit"](images[:1]), rate=1500, seconds=1.0, seed=number)
            timer.join()
            total["ended_with_0"] += server.process.wait() == 0
        total["offered"] += told.offered
        total["served"] += told.statuses[200]
        total["refused"] += told.statuses[503] + told.statuses[429]
        total["lost"] += told.statuses[0]
    return total


def _capacity(arguments: argparse.Namespace, images: Any) -> dict[str, Any]:
    """Return the highest rate of arrivals at random at which 99 % are answered in time, by halving."""
    wire = SERVERS["toolkit"](images[:1])
    with _start("toolkit", arguments) as server:
        low, high = 0.0, run_wrk(server, wire, seconds=arguments.seconds, core=CLIENT_CORE).rate * 1.2
        tried = []
        for _ in range(7):
            rate = (low + high) / 2
            told = run_arrivals(server.port, wire, rate=rate, seconds=arguments.seconds)
            fits = told.percentile_ms(0.99) <= arguments.max_p99_ms and told.statuses[200] == told.offered
            low, high = (rate, high) if fits else (low, rate)
            tried.append({"rate": round(rate), "fits": fits, **_tell(told)})
    return {"max_p99_ms": arguments.max_p99_ms, "requests_per_s": round(low), "tried": tried}


def _tell(told: Arrivals) -> dict[str, Any]:
    return {
        "offered": told.offered,
        "statuses": {str(status): count for status, count in sorted(told.statuses.items()) if count},
        "p50_ms": round(told.percentile_ms(0.5), 3),
        "p99_ms": round(told.percentile_ms(0.99), 3),
        "client_late_ms": round(told.late_s * 1e3, 2),
    }


def _start(name: str, arguments: argparse.Namespace) -> Any:
    return run_server(name, arguments.model, python=_python_of(name, arguments), core=SERVER_CORE)


def _python_of(name: str, arguments: argparse.Namespace) -> str:
    """Return the interpreter that has a server; empty where none was named."""
    own, word = sys.executable, name.partition(",")[0]
    return own if word == "toolkit" else str(getattr(arguments, word))


if __name__ == "__main__":
    main()
