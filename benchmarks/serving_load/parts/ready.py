"""From the start of the command to the first time that it says it is ready."""

from __future__ import annotations

__all__ = ["measure"]

import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from serving_load.experiment import SERVER_CORE, Experiment
from serving_load.servers import free_port

LEAST_TIMES = 2
PATIENCE_S = 60.0


def measure(experiment: Experiment) -> list[dict[str, Any]]:
    """Return one row: seconds of each start, and their median."""
    taken = [_start_once(experiment) for _ in range(max(experiment.times // 4, LEAST_TIMES))]
    return [{"ready_s": round(statistics.median(taken), 2), "of_each_start": [round(one, 2) for one in taken]}]


def _start_once(experiment: Experiment) -> float:
    port = free_port()
    words = ["-m", "toolkit", "serve", f"digits={experiment.model}", "--port", str(port), "--threads", "1"]
    command = ["taskset", "--cpu-list", str(SERVER_CORE), sys.executable, *words]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _is_ready(port):
            assert process.poll() is None, command
            assert time.perf_counter() < start + PATIENCE_S, command
            time.sleep(0.005)
        return time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False
