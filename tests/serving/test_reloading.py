"""A file that changes takes the place of the one in service, or does not: under load, whatever it holds, whatever dies."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_models import FAULTS, broken
from hostile_files import NOT_MODELS
from served import Served, serving
from successors import WORSE, make_stranger, make_successor, nudge

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
INFER = "/v2/models/digits/infer"
LOAD, UNLOAD = "/v2/repository/models/digits/load", "/v2/repository/models/digits/unload"
PREVIOUS = b'{"parameters": {"previous": true}}'
PATIENCE_S = 60.0
IMAGE = np.random.default_rng(5).integers(0, 256, (1, 28, 28), np.uint8)
BODY = json.dumps(
    {
        "inputs": [{"name": "images", "shape": [1, 28, 28], "datatype": "UINT8", "data": IMAGE.ravel().tolist()}],
        "outputs": [{"name": "logits"}],
    }
).encode()


@pytest.fixture(scope="module")
def models(model_path: Path) -> tuple[bytes, bytes]:
    """Two models of one card whose answers differ."""
    good = model_path.read_bytes()
    return good, make_successor(good)


@pytest.fixture(scope="module")
def live(models: tuple[bytes, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is served."""
    path = tmp_path_factory.mktemp("live") / "digits.onnx"
    path.write_bytes(models[0])
    return path


@pytest.fixture(scope="module")
def started(live: Path) -> Iterator[Served]:
    with serving(f"digits={live}", "--watch", "--repository", "--max-batch", "1", "--threads", "1") as server:
        yield server


@pytest.fixture
def server(started: Served, live: Path, models: tuple[bytes, bytes]) -> Served:
    """The server with the first model in service."""
    rename_in(live, models[0])
    assert started.ask(LOAD, b"")[0] == 200
    return started


def rename_in(path: Path, content: bytes) -> None:
    """Replace a file as deployments do: written beside it, then renamed."""
    beside = path.with_name("next")
    beside.write_bytes(content)
    beside.replace(path)


def logits(server: Served, path: str = INFER) -> list[float]:
    status, _, body = server.ask(path, BODY)
    assert status == 200, body
    data: list[float] = json.loads(body)["outputs"][0]["data"]
    return data


def count_reloads(server: Served, result: str, *, model: str = "digits") -> int:
    page = server.ask("/metrics")[2].decode()
    return int(
        float(
            re.findall(rf'^toolkit_reloads_total{{model="{model}",result="{result}".*}} (\S+)', page, re.MULTILINE)[0]
        )
    )


@contextmanager
def another(server: Served, result: str, *, model: str = "digits") -> Iterator[None]:
    """Wait behind the block until one more file was taken, or refused."""
    before = count_reloads(server, result, model=model)
    yield
    end = time.monotonic() + PATIENCE_S
    while count_reloads(server, result, model=model) == before:
        assert time.monotonic() < end, "the file was not looked at"
        time.sleep(0.02)


def index_of(server: Served) -> dict[str, Any]:
    (told,) = json.loads(server.ask("/v2/repository/index", b"")[2])
    return dict(told)


class Client(threading.Thread):
    """Asks on one connection again and again; keeps when each request was sent and what came back."""

    def __init__(self, server: Served) -> None:
        super().__init__()
        self._server, self.is_over = server, threading.Event()
        self.answers: list[tuple[float, int, list[float]]] = []
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._server.host, int(self._server.port), timeout=PATIENCE_S)
        while not self.is_over.is_set():
            sent = time.monotonic()
            connection.request("POST", INFER, BODY)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            self.answers.append((sent, answer.status, told["outputs"][0]["data"] if answer.status == 200 else told))
        connection.close()


def test_under_load_every_answer_is_one_of_the_two_and_none_is_the_old_one_again(
    server: Served, live: Path, models: tuple[bytes, bytes]
) -> None:
    first = logits(server)

    def rename_second() -> None:
        with another(server, "taken"):
            rename_in(live, models[1])

    def write_first_in_place() -> None:
        with another(server, "taken"):
            live.write_bytes(models[0])

    def go_back() -> None:
        for _ in range(2):  # the second call finds it done
            assert server.ask(LOAD, PREVIOUS)[0] == 200

    clients = [Client(server) for _ in range(4)]
    swaps: list[float] = []
    for change in (rename_second, write_first_in_place, go_back):
        change()
        swaps.append(time.monotonic())
    time.sleep(0.2)
    for client in clients:
        client.is_over.set()
        client.join()
    second = logits(server)
    assert second != first
    assert server.ask(LOAD, b"")[0] == 200  # what is on the disk
    assert logits(server) == first
    for client in clients:
        assert {status for _, status, _ in client.answers} == {200}
        period = 0
        for sent, _, values in client.answers:
            period += [first, second].index(values) != period % 2  # bit for bit one of the two
            assert period >= sum(sent > swapped for swapped in swaps)  # by the new one, and never the old one again
        assert period == len(swaps)


NOT_TAKEN: dict[str, tuple[Callable[[Path, bytes], object], str]] = {
    **{name: (write, "") for name, write in NOT_MODELS.items()},
    **{
        name: (
            lambda path, good, fault=name: path.write_bytes(broken(good, fault)),
            "does not answer its golden vectors",
        )
        for name in FAULTS
    },
    **{
        name: (lambda path, good, make=make: path.write_bytes(make(good)), words)
        for name, (make, words) in WORSE.items()
    },
}
QUICK = {"cut in the middle", "one weight changed by 1 %", "classes renamed"}


@pytest.mark.parametrize(
    "kind", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NOT_TAKEN]
)
def test_a_worse_or_broken_file_never_answers_and_the_old_one_goes_on(
    server: Served, live: Path, models: tuple[bytes, bytes], kind: str
) -> None:
    write, words = NOT_TAKEN[kind]
    before, sha256 = logits(server), index_of(server)["sha256"]
    live.unlink()
    write(live, models[0])
    try:
        status, _, body = server.ask(LOAD, b"")
        assert status == 400, body
        error = json.loads(body)["error"]
        assert words in error
        assert index_of(server) == {
            "name": "digits",
            "version": "1",
            "state": "READY",
            "reason": error,
            "sha256": sha256,
        }
        assert logits(server) == before
    finally:
        shutil.rmtree(live) if live.is_dir() and not live.is_symlink() else live.unlink()


@pytest.mark.slow
def test_a_file_that_is_gone_is_told_once_and_taken_when_it_is_there_again(
    server: Served, live: Path, models: tuple[bytes, bytes]
) -> None:
    before = logits(server)
    with another(server, "refused"):
        live.unlink()
    refused = count_reloads(server, "refused")
    time.sleep(1.5)
    assert count_reloads(server, "refused") == refused
    assert logits(server) == before
    with another(server, "taken"):
        live.write_bytes(models[1])
    assert logits(server) != before


@pytest.mark.slow
def test_a_copy_that_is_still_being_made_is_not_looked_at(
    server: Served, live: Path, models: tuple[bytes, bytes]
) -> None:
    refused = count_reloads(server, "refused")
    with another(server, "taken"), live.open("wb") as file:
        for start in range(0, len(models[1]), 8192):
            file.write(models[1][start : start + 8192])
            file.flush()
            time.sleep(0.2)
    assert count_reloads(server, "refused") == refused


@pytest.mark.slow
def test_a_file_of_the_same_size_and_time_is_taken(server: Served, live: Path, models: tuple[bytes, bytes]) -> None:
    rename_in(live, nudge(models[0], 1e-7))
    assert server.ask(LOAD, b"")[0] == 200
    before, found = logits(server), live.stat()
    with another(server, "taken"):
        live.write_bytes(nudge(models[0]))
        os.utime(live, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (live.stat().st_size, live.stat().st_mtime_ns) == (found.st_size, found.st_mtime_ns)
    assert logits(server) != before


@pytest.mark.slow
def test_reloads_leave_no_process_no_file_and_no_memory(
    server: Served, live: Path, models: tuple[bytes, bytes]
) -> None:
    pid = server.process.pid

    def count_files() -> int:
        time.sleep(0.2)  # the last client's connection may still be there
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def measure_memory() -> int:
        return int(re.findall(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) << 10

    def swap(times: int) -> None:
        for number in range(times):
            rename_in(live, models[(number + 1) % 2])
            assert server.ask(LOAD, b"")[0] == 200

    swap(2)  # what is kept once is there behind the first ones
    files, memory = count_files(), measure_memory()
    swap(6)
    assert len(children_of(pid)) == 1
    assert count_files() <= files
    assert measure_memory() < memory + (8 << 20)


@pytest.mark.parametrize("which", ["the old one", "the new one"])
def test_an_engine_that_is_killed_meanwhile_hinders_nothing(
    server: Served, live: Path, models: tuple[bytes, bytes], which: str
) -> None:
    pid = server.process.pid
    before, old = logits(server), set(children_of(pid))
    rename_in(live, models[1])
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(server.ask, LOAD, b"")
        while not (new := set(children_of(pid)) - old):
            time.sleep(0.002)
        os.kill((old if which == "the old one" else new).pop(), signal.SIGKILL)
        status, _, body = loading.result()
    end = time.monotonic() + PATIENCE_S
    while server.ask("/v2/health/ready")[0] != 200:  # the one that was killed may have been in service already
        assert time.monotonic() < end
    assert status == 200 or which == "the new one", body
    assert (logits(server) == before) == (status == 400)
    assert len(children_of(pid)) == 1


def children_of(pid: int) -> list[int]:
    told = "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(word) for word in told.split()]


@pytest.mark.parametrize("how", ["watch", "load"])
def test_sigterm_meanwhile_ends_with_0_and_leaves_no_process(
    live: Path, models: tuple[bytes, bytes], tmp_path: Path, how: str
) -> None:
    path = tmp_path / "digits.onnx"
    path.write_bytes(models[0])
    with serving(f"digits={path}", "--watch", "--repository") as server, ThreadPoolExecutor(1) as pool:
        before = set(children_of(server.process.pid))
        rename_in(path, models[1])
        if how == "load":
            pool.submit(server.ask, LOAD, b"")
        while not (workers := set(children_of(server.process.pid)) - before):
            time.sleep(0.005)
        code, _ = server.stop()
        assert code == 0
        assert not [pid for pid in workers | before if is_running(pid)]


def is_running(pid: int) -> bool:
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(told.strip()) and not told.startswith("Z")


@pytest.mark.slow
def test_a_link_that_points_elsewhere_and_a_file_of_two_models_are_taken(
    models: tuple[bytes, bytes], tmp_path: Path
) -> None:
    for name, content in zip("ab", models, strict=True):
        (tmp_path / f"{name}.onnx").write_bytes(content)
    current = tmp_path / "current.onnx"
    current.symlink_to("a.onnx")
    with serving(f"digits={current}", f"spare={current}", "--watch") as server:
        before = logits(server)
        with another(server, "taken"), another(server, "taken", model="spare"):
            (tmp_path / "next").symlink_to("b.onnx")
            (tmp_path / "next").replace(current)
        assert logits(server) == logits(server, "/v2/models/spare/infer") != before
        assert server.ask("/v2/repository/index", b"")[0] == 405
        code, said = server.stop()
    assert code == 0
    assert re.fullmatch(
        r"(model (digits|spare) \(version 1\): sha256 \w{12} takes the place of sha256 \w{12}\n){2}", said
    )


@pytest.mark.slow
def test_versions_of_a_name_are_taken_apart_and_keep_their_order(models: tuple[bytes, bytes], tmp_path: Path) -> None:
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for path in paths:
        path.write_bytes(models[0])
    with serving(f"digits={paths[0]}", f"digits={paths[1]}", "--repository") as server:
        second = logits(server)
        rename_in(paths[0], models[1])
        assert server.ask(LOAD, b"")[0] == 200
        assert json.loads(server.ask("/v2/models/digits")[2])["versions"] == ["1", "2"]
        assert logits(server) == second != logits(server, "/v2/models/digits/versions/1/infer")
        assert server.ask(LOAD, PREVIOUS)[0] == 200  # of the one that has one
        assert logits(server, "/v2/models/digits/versions/1/infer") == second


@pytest.mark.slow
def test_a_strangers_file_is_held_against_what_clients_were_told(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(make_stranger("Relu"))
    with serving(f"digits={path}", "--repository") as server:
        rename_in(path, make_stranger("Relu", name="z"))
        status, _, body = server.ask(LOAD, b"")
        assert status == 400
        assert "is not like the file in service: input [{'name': 'z'" in json.loads(body)["error"]
        rename_in(path, make_stranger("Sigmoid"))
        assert server.ask(LOAD, b"")[0] == 200


def test_the_page_is_that_of_the_model_in_service(server: Served, live: Path, models: tuple[bytes, bytes]) -> None:
    before = server.ask("/model.card.json")[2]
    rename_in(live, models[1])
    assert server.ask(LOAD, b"")[0] == 200
    assert len(server.ask("/model.card.json")[2]) != len(before)


def test_a_model_is_unloaded_and_loaded_and_what_is_not_asked_rightly_is_refused(server: Served) -> None:
    before = logits(server)
    assert server.ask(UNLOAD, b'{"parameters": {"unload_dependents": true}}')[::2] == (200, b"{}")
    assert index_of(server)["state"] == "UNAVAILABLE"
    assert index_of(server)["reason"] == "unloaded"
    assert json.loads(server.ask("/v2/repository/index", b'{"ready": true}')[2]) == []
    status, _, body = server.ask(INFER, BODY)
    assert (status, json.loads(body)["error"]) == (404, "there is no model 'digits'; there are none")
    assert server.ask("/v2/health/ready")[0] == 200
    assert server.ask("/")[0] == 404
    assert server.ask(LOAD, b"")[0] == 200
    assert logits(server) == before
    for path, body, status, words in (
        ("/v2/repository/models/other/load", b"", 404, "started without a model 'other'"),
        ("/v2/repository/models/..%2Fother/load", b"", 404, "started without a model '../other'"),
        (LOAD, b'{"parameters": {"config": "{}"}}', 400, "expected nothing, or 'previous' with true or false"),
        (LOAD, b'{"parameters": {"file:1/model.onnx": "AAAA"}}', 400, "expected nothing, or 'previous'"),
        (LOAD, b'{"parameters": {"previous": 1}}', 400, "expected nothing, or 'previous'"),
        (LOAD, b"[1]", 400, "not a JSON object"),
        (LOAD, b"0" * 5000, 413, "larger than 4096 bytes"),
        (UNLOAD, b'{"parameters": {"previous": true}}', 400, "'unload_dependents'"),
        ("/v2/repository/models/digits/drop", b"", 404, "the repository has no 'models/digits/drop'"),
        ("/v2/repository/index", b'{"ready": "yes"}', 400, "'ready' with true or false"),
    ):
        seen, _, answer = server.ask(path, body)
        assert (seen, words in json.loads(answer)["error"]) == (status, True), answer
    assert server.ask(LOAD, method="GET")[0] == 405
    assert server.ask(UNLOAD, b"", Origin="http://127.0.0.1:1")[0] == 403
    assert logits(server) == before
