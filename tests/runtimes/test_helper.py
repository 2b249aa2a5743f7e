"""Helper processes: one that cannot start is an error, one that starts slowly is none, and none outlives its parent."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_models import save_model

from toolkit.doctor.convolution import INPUT, build_model
from toolkit.durable import sha256_bytes
from toolkit.errors import HelperStartError, WorkerError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers import helper
from toolkit.runtimes.workers.client import WorkerRuntime
from toolkit.runtimes.workers.helper import Helper
from toolkit.runtimes.workers.probe import ensure_probed

PATIENCE_S = 60.0


def source() -> ModelSource:
    model = build_model()
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("convolution.onnx"))


def script(path: Path, *lines: str) -> str:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(0o755)
    return str(path)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(*pids: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < end, f"{alive} outlived their parent"
        time.sleep(0.02)


def test_a_worker_outlives_the_thread_that_started_it() -> None:
    opened: list[WorkerRuntime] = []
    thread = threading.Thread(target=lambda: opened.append(WorkerRuntime(source(), RuntimeSettings(threads=1))))
    thread.start()
    thread.join()
    time.sleep(0.2)  # what follows a thread follows it at once
    with opened[0] as worker:
        assert worker.run({INPUT: np.zeros((1, 12, 12), np.uint8)})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the end of standard input ends a helper")
def test_a_helper_and_what_it_started_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    python = script(tmp_path / "python", f"sleep 600 &\necho $! > {tmp_path}/child", f'exec {sys.executable} "$@"')
    program = (
        "import time; from toolkit.runtimes.workers.helper import Helper\n"
        f"helper = Helper('toolkit.runtimes.workers.worker', title='a worker', python={python!r})\n"
        "helper.await_ready(); print(helper.process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = int(parent.stdout.readline()), int((tmp_path / "child").read_text())
        assert all(map(is_alive, pids))
        parent.send_signal(signal.SIGKILL)
        wait_for_end(*pids)


def test_a_python_that_an_engine_starts_leaves_the_working_folder_off_its_path(tmp_path: Path) -> None:
    (tmp_path / "struct.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    engine = f'{sys.executable} -c "import struct"'
    python = script(tmp_path / "python", engine, f'exec {sys.executable} "$@"')
    with Helper("toolkit.runtimes.workers.worker", title="a worker", python=python, cwd=str(tmp_path)) as opened:
        opened.await_ready()
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_files_that_variables_name_are_found_from_a_workers_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOOLKIT_TOKEN_FILE", "token")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    environment = helper._environment(is_private=False)
    assert environment["TOOLKIT_TOKEN_FILE"] == str(tmp_path / "token")
    assert "SSL_CERT_FILE" not in environment


def test_closing_a_helper_ends_what_it_started(tmp_path: Path) -> None:
    python = script(tmp_path / "python", f"sleep 600 &\necho $! > {tmp_path}/child", f'exec {sys.executable} "$@"')
    with Helper("toolkit.runtimes.workers.worker", title="a worker", python=python) as opened:
        opened.await_ready()
        child = int((tmp_path / "child").read_text())
        assert is_alive(child)
    wait_for_end(child, opened.process.pid)


def test_no_sign_of_life_is_an_error_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert helper.SIGN_S == 5
    monkeypatch.setattr(helper, "SIGN_S", 0.3)
    silent = script(tmp_path / "python", "exec sleep 600")
    with pytest.raises(HelperStartError, match=rf"no sign of life within 0\.3 s; see what this does: {silent} -c pass"):
        WorkerRuntime(source(), RuntimeSettings(), python=silent)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("exit 3",), "a worker cannot start: it left with exit code 3"),
        (
            ("echo some words >&2; kill -SEGV $$",),
            "it crashed with SIGSEGV without|it crashed with SIGSEGV: some words",
        ),
        (("echo hello from a wrapper",), "it said b'hello "),
        (("echo alive; echo no such module >&2; exit 1",), "exit code 1 without an answer: no such module"),
    ],
)
def test_a_helper_that_dies_at_its_start_says_how(tmp_path: Path, lines: tuple[str, ...], said: str) -> None:
    with pytest.raises(HelperStartError, match=said):
        WorkerRuntime(source(), RuntimeSettings(), python=script(tmp_path / "python", *lines))


def test_a_worker_that_cannot_start_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper.sys, "executable", "/bin/false")
    with pytest.raises(HelperStartError, match="a worker cannot start") as caught:
        ensure_probed(ModelSource.read(save_model(tmp_path / "m.onnx")), RuntimeSettings(threads=1))
    assert caught.value.exit_code == 5


@pytest.mark.slow
def test_a_helper_whose_imports_take_longer_than_its_sign_of_life_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("import time; time.sleep(6); raise ImportError('waited for')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(HelperStartError, match="ImportError: waited for"):
        WorkerRuntime(source(), RuntimeSettings())


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_helper_leaves_no_open_file_behind() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        with Helper("toolkit.runtimes.workers.worker", title="a worker") as opened:
            opened.await_ready()
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_worker_that_is_closed_while_another_thread_waits_for_it_is_told_as_ended() -> None:
    seen: list[BaseException] = []

    def ask(worker: WorkerRuntime) -> None:
        try:
            while True:
                worker.run({INPUT: np.zeros((1, 12, 12), np.uint8)})
        except BaseException as error:
            seen.append(error)

    for _ in range(2):
        worker = WorkerRuntime(source(), RuntimeSettings(threads=1))
        thread = threading.Thread(target=ask, args=(worker,))
        thread.start()
        time.sleep(0.1)
        worker.close()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert [type(error) for error in seen] == [WorkerError, WorkerError], seen
