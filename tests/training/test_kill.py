"""Real trainings, stopped by signals and killed at random moments, end in the same bytes (FAULTS 21, 23)."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import Training, run_to_end
from small_training import SMALL, begin, go_on, read_left, small_recipe

from toolkit.artifacts import ArtifactStore
from toolkit.data import load_dataset
from toolkit.training.train import TrainReport

SETTINGS = ("batch_size=100", "epochs=12", "average_decay=0.9", "rotation_degrees=5")
EPOCHS = 12


def arguments() -> list[str]:
    settings = [word for setting in (*SMALL, *SETTINGS) for word in ("--set", setting)]
    return ["--data", "mnist-mini", "--device", "cpu", "--threads", "1", *settings]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    """The same training, uninterrupted and in this process."""
    root = tmp_path_factory.mktemp("whole")
    return begin(root, small_recipe(*SETTINGS), data=load_dataset("mnist-mini"), keep_every=0)


def run_of(root: Path) -> Path:
    return ArtifactStore(root=root).latest_started_run()


def assert_same(run: Path, whole: TrainReport) -> None:
    left, expected = read_left(run), read_left(whole.run)
    assert left["checkpoints"] == expected["checkpoints"]
    assert left["history"] == expected["history"]
    assert left["others"] == expected["others"]
    assert not [name for name in left["top"] if name.endswith(".tmp")]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_command_saves_says_how_to_go_on_and_leaves_within_five_seconds(
    number: signal.Signals, code: int, whole: TrainReport, tmp_path: Path
) -> None:
    with Training(tmp_path, *arguments()) as training:
        training.wait_for(f"epoch  1/{EPOCHS}")
        before = training.cpu_s()
        training.process.send_signal(number)
        assert training.end() == code
        # Its own five seconds: other work on the machine is none of its.
        assert training.cpu_s() - before < 5
    run = run_of(tmp_path)
    assert len(training.err.splitlines()) == 1, training.err
    assert training.err.startswith("error: stopped after step ")
    assert training.err.endswith(f"; saved, go on with: toolkit train --resume {run}\n")
    assert not (run / "evaluation.json").exists()
    go_on(tmp_path, data=load_dataset("mnist-mini"))
    assert_same(run, whole)


EAR = """
import time
from toolkit.environment import claim_process
from toolkit.training.process import hear_stop_signals
claim_process()
with hear_stop_signals() as stop:
    print("ready", flush=True)
    while stop.signal is None:
        time.sleep(0.01)
    print("heard", flush=True)
    while True:
        time.sleep(60)
"""


@pytest.mark.parametrize(("first", "second", "code"), [("TERM", "INT", 130), ("INT", "TERM", 143)])
def test_a_second_signal_leaves_at_once(first: str, second: str, code: int) -> None:
    with subprocess.Popen([sys.executable, "-c", EAR], stdout=subprocess.PIPE, text=True) as ear:
        assert ear.stdout is not None
        assert ear.stdout.readline() == "ready\n"
        ear.send_signal(signal.Signals[f"SIG{first}"])
        assert ear.stdout.readline() == "heard\n"
        ear.send_signal(signal.Signals[f"SIG{second}"])
        assert ear.wait() == code


@pytest.mark.slow
def test_two_signals_in_a_row_corrupt_nothing(whole: TrainReport, tmp_path: Path) -> None:
    for turn in range(4):
        more = arguments() if turn == 0 else ["--resume", "latest"]
        with Training(tmp_path, *more) as training:
            training.wait_for(f"epoch {turn * 3 + 1:>2}/{EPOCHS}")
            training.process.send_signal(signal.SIGTERM)
            time.sleep(random.Random(turn).random() * 0.05)
            training.process.send_signal(signal.SIGTERM)
            assert training.end() in {143, -signal.SIGTERM}
        assert "Traceback" not in training.err
    go_on(tmp_path, data=load_dataset("mnist-mini"))
    assert_same(run_of(tmp_path), whole)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_at_random_moments_a_training_ends_in_the_same_bytes(
    seed: int, whole: TrainReport, tmp_path: Path
) -> None:
    moments = random.Random(seed)
    with Training(tmp_path, *arguments()) as training:
        training.wait_for(f"epoch  1/{EPOCHS}")
        time.sleep(moments.random())
        training.process.kill()
        assert training.end() == -signal.SIGKILL
    for _ in range(4):  # in a row; some die before their first step
        with Training(tmp_path, "--resume", "latest") as training:
            if moments.random() < 0.7:
                training.wait_for("going on after")
            time.sleep(moments.random() * 1.5)
            training.process.kill()
            assert training.end() in {0, -signal.SIGKILL}
    run_to_end(tmp_path, "--resume", "latest")
    assert_same(run_of(tmp_path), whole)
    assert (run_of(tmp_path) / "evaluation.json").exists()
    assert ArtifactStore(root=tmp_path).latest_run() == run_of(tmp_path)
