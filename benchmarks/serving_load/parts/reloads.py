"""What becomes of requests while the file behind them is replaced, two hundred times, and of files that are broken."""

from __future__ import annotations

__all__ = ["measure"]

import json
import statistics
import tempfile
import threading
import time
import urllib.error
import urllib.request
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from broken_models import FAULTS, broken
from hostile_files import NOT_MODELS
from numpy.typing import NDArray
from successors import make_successor

from serving_load.clients import Arrivals, run_arrivals, run_wrk
from serving_load.experiment import CLIENT_CORE, Experiment
from serving_load.servers import RunningServer

SHARE_OF_RATE = 0.1
# Those that are no models; the others of the twenty are models with a fault.
DAMAGED = (
    "empty",
    "text",
    "a zip with the model",
    "the model, gzipped",
    "noise",
    "cut after 100 bytes",
    "cut after an eighth",
    "cut in the middle",
    "its last byte missing",
    "its first byte missing",
)
# Batches of other sizes add in another order; the logits of the two models differ by 1.
SAME = 1e-3


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return a row of two models that take turns, and one of files that must not become active."""
    first = experiment.model.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        live = Path(folder) / "digits.onnx"
        live.write_bytes(first)
        with replace(experiment, model=live).start("toolkit", "--repository") as server:
            turns = _take_turns(experiment, server, live=live, models=(first, make_successor(first)))
            return [turns, _break(server, live, good=first)]


class _Change(NamedTuple):
    """A file that took the place of the other one; seconds of `perf_counter`."""

    began: float
    ended: float
    model: int


class _Changes(threading.Thread):
    """Replaces the file and asks for it, again and again."""

    def __init__(self, server: RunningServer, live: Path, *, models: tuple[bytes, bytes], times: int) -> None:
        super().__init__()
        self._server, self._live, self._models, self._times = server, live, models, times
        self.told: list[_Change] = []
        self.failed = 0

    def run(self) -> None:
        for number in range(self._times):
            model = (number + 1) % 2
            began = time.perf_counter()
            status = _load(self._server, self._live, self._models[model])
            self.failed += status != 200
            self.told.append(_Change(began, time.perf_counter(), model))


def _take_turns(
    experiment: Experiment, server: RunningServer, *, live: Path, models: tuple[bytes, bytes]
) -> dict[str, Any]:
    wire = experiment.wire(1)
    rate = SHARE_OF_RATE * run_wrk(server, wire, seconds=experiment.seconds, core=CLIENT_CORE).rate
    known = []
    for number in (0, 1, 0):
        _load(server, live, models[number])
        known.append(_read_logits(run_arrivals(server.port, wire, rate=50, seconds=0.5).answers[0][1]))
    before = run_arrivals(server.port, wire, rate=rate, seconds=5 * experiment.seconds)
    memory, processes = server.memory_bytes(), len(server.pids())
    changes, during = _Changes(server, live, models=models, times=experiment.reloads), list[Arrivals]()
    changes.start()
    while changes.is_alive():
        during.append(run_arrivals(server.port, wire, rate=rate, seconds=experiment.seconds, seed=len(during) + 1))
    whole = Arrivals(
        offered=sum(each.offered for each in during), statuses=sum((each.statuses for each in during), Counter())
    )
    whole.latencies_s = [latency for each in during for latency in each.latencies_s]
    whole.answers = [answer for each in during for answer in each.answers]
    whole.late_s = max(each.late_s for each in during)
    return {
        "reloads": len(changes.told),
        "reloads_failed": changes.failed,
        "rate": round(rate),
        **_judge(whole, changes.told, known),
        "reload_s": round(statistics.median(each.ended - each.began for each in changes.told), 3),
        "p99_ms_before": round(before.percentile_ms(0.99), 3),
        "memory_growth": round(server.memory_bytes() / memory - 1, 3),
        "more_processes": len(server.pids()) - processes,
        **whole.to_row(),
    }


def _judge(told: Arrivals, changes: list[_Change], known: list[NDArray[np.float32]]) -> dict[str, int]:
    """Count answers of neither model, and answers of one that was not, or not any more, in service."""
    counts = {"wrong": 0, "stale": 0, "failed": told.offered - told.statuses[200]}
    of_body: dict[bytes, int | None] = {}
    for (sent, body), latency in zip(told.answers, told.latencies_s, strict=True):
        if body not in of_body:
            logits = _read_logits(body)
            of_body[body] = next((at for at in (0, 1) if np.abs(known[at] - logits).max() < SAME), None)
        place = bisect_right(changes, sent, key=lambda change: change.ended)
        may_be = {changes[place - 1].model if place else 0}
        if place < len(changes) and sent + latency > changes[place].began:
            may_be.add(changes[place].model)
        if of_body[body] is None:
            counts["wrong"] += 1
        elif of_body[body] not in may_be:
            counts["stale"] += 1
    return counts


def _break(server: RunningServer, live: Path, *, good: bytes) -> dict[str, Any]:
    writers: dict[str, Callable[[], object]] = {
        **{name: lambda name=name: NOT_MODELS[name](live, good) for name in DAMAGED},
        **{fault: lambda fault=fault: live.write_bytes(broken(good, fault)) for fault in FAULTS},
    }
    taken = []
    for name, write in writers.items():
        write()
        if _load(server) == 200:
            taken.append(name)
    return {"broken_files": len(writers), "became_active": taken}


def _load(server: RunningServer, live: Path | None = None, content: bytes = b"") -> int:
    """Rename a file into the place of the other one, where one is given, and ask for it; return the status."""
    if live is not None:
        beside = live.with_name("next")
        beside.write_bytes(content)
        beside.replace(live)
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v2/repository/models/digits/load", b"{}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _read_logits(body: bytes) -> NDArray[np.float32]:
    """Return the first output of a binary answer about one picture."""
    head, _ = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    start = len(body) - sum(item["parameters"]["binary_data_size"] for item in head["outputs"])
    return np.frombuffer(body[start:][: head["outputs"][0]["parameters"]["binary_data_size"]], np.float32)
