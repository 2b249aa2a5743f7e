"""An engine that is killed or hangs: another one takes its place within two seconds, and what was asked is answered."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from served import Served, serving

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
from toolkit.errors import WorkerError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.serving.engine import Engine


@pytest.fixture(scope="module")
def server(model_path: Path) -> Iterator[Served]:
    with serving(f"digits={model_path}") as started:
        yield started


def find_worker(server: Served) -> int:
    """Return the process that holds the engine."""
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(server.process.pid)], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[0])


def wait_until_ready(server: Served, *, worker: int) -> float:
    started = time.monotonic()
    while find_worker(server) == worker or server.ask("/v2/health/ready")[0] != 200:
        assert time.monotonic() - started < 60
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.mark.parametrize(
    "sent", [pytest.param(signal.SIGKILL, id="killed"), pytest.param(signal.SIGSTOP, id="hung", marks=pytest.mark.slow)]
)
def test_another_engine_takes_its_place_and_what_was_asked_is_answered(server: Served, sent: signal.Signals) -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    expected = server.infer(image, model="digits")
    worker = find_worker(server)

    def ask(_: int) -> tuple[int, bytes]:
        tensor = {"name": "images", "shape": [1, 28, 28], "datatype": "UINT8", "data": [0] * 784}
        status, _, body = server.ask("/v2/models/digits/infer", json.dumps({"inputs": [tensor]}).encode())
        return status, body

    with ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(ask, number) for number in range(100)]
        os.kill(worker, sent)
        answers = [task.result() for task in asked]
    wait_until_ready(server, worker=worker)
    assert server.infer(image, model="digits") == expected
    for status, body in answers:
        told = json.loads(body)
        # Refused while there was no engine, or answered: never lost, never wrong.
        assert status in {200, 503, 504}, told
        assert status != 200 or told["outputs"][2]["data"] == expected["label"]
    assert server.ask("/v2/health/live")[0] == 200


@pytest.mark.slow
def test_an_engine_is_not_replaced_because_the_server_itself_slept(server: Served) -> None:
    wait_until_ready(server, worker=0)
    worker = find_worker(server)
    os.kill(worker, signal.SIGSTOP)
    time.sleep(0.3)  # it was asked for a beat by now
    os.kill(server.process.pid, signal.SIGSTOP)
    os.kill(worker, signal.SIGCONT)
    time.sleep(1.5)  # longer than an engine may be silent
    os.kill(server.process.pid, signal.SIGCONT)
    assert server.infer(np.zeros((1, 28, 28), np.uint8), model="digits")
    time.sleep(0.3)  # looked after again
    assert find_worker(server) == worker


def test_a_call_between_the_ends_of_the_two_pipes_is_told_of_the_loss(model_path: Path) -> None:
    async def live() -> list[object]:
        engine, told = Engine(ModelSource.read(model_path), RuntimeSettings(), max_batch=2), []
        again = asyncio.Event()
        await engine.attach(on_lost=told.append, on_ready=again.set)
        engine._requests.close()
        engine.run({"images": np.zeros((1, 28, 28), np.uint8)}, lambda result: told.append(type(result)))
        await asyncio.wait_for(again.wait(), 60)
        await engine.close()
        return told

    assert asyncio.run(live()) == ["ended", WorkerError]


def test_an_engine_that_is_closed_goes_at_once_and_its_file_with_it(model_path: Path) -> None:
    async def live() -> weakref.ref[Engine]:
        engine = Engine(ModelSource.read(model_path), RuntimeSettings(), max_batch=2)
        await engine.attach(on_lost=lambda _: engine.close(), on_ready=lambda: None)  # as who holds it does
        await engine.close()
        return weakref.ref(engine)

    gc.disable()
    try:
        assert asyncio.run(live())() is None
    finally:
        gc.enable()
