"""Several processes train as one would: the same losses, one voice, no hanging, the same bytes after a kill."""

from __future__ import annotations

import csv
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ranks
import torch
from processes import Training, run_to_end
from small_training import SMALL, begin, go_on, read_left, small_recipe
from torch import nn

from toolkit.artifacts import ArtifactStore
from toolkit.data import load_dataset
from toolkit.errors import ResourceError, UsageError
from toolkit.training.steps import process_group as group_module
from toolkit.training.steps.process_group import Group, join_group, lost_neighbours_named

ROOT = Path(__file__).resolve().parents[2]
# 4,000 images are trained on: a last one that joins the batch before it, and shares of two sizes.
ODD_BATCH = 93
SAME = ("dropout=0", f"batch_size={ODD_BATCH}", "batch_shift_pixels=1", "rotation_degrees=5")


def arguments(*settings: str) -> list[str]:
    words = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
    return ["--data", "mnist-mini", "--device", "cpu", "--threads", "1", *words]


def run_of(root: Path) -> Path:
    return ArtifactStore(root=root).latest_started_run()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 128])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_every_image_is_in_one_share_and_shares_are_even(count: int, size: int) -> None:
    shares = [list(range(count))[Group(rank=rank, size=size).share(count)] for rank in range(size)]
    assert [*itertools.chain(*shares)] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_torchrun_a_group_is_one_process_that_sends_nothing() -> None:
    with join_group("cpu", environment={}) as group:
        assert (group.rank, group.size, group.is_main) == (0, 1, True)
        assert group.sum(torch.ones(2)).tolist() == [1, 1]


@pytest.mark.parametrize("place", [{"WORLD_SIZE": "2"}, {"WORLD_SIZE": "two", "RANK": "0", "LOCAL_RANK": "0"}])
def test_an_environment_that_is_not_torchruns_is_said_so(place: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="start several processes with torchrun"), join_group("cpu", environment=place):
        pytest.fail("joined")


def test_metal_cannot_train_over_processes() -> None:
    place = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}
    with pytest.raises(UsageError, match="cpu or cuda, not on mps"), join_group("mps", environment=place):
        pytest.fail("joined")


class FakeCuda:
    """Two GPUs, and a network of processes that only notes what was asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Any] = []
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "set_device", self.asked.append)
        distributed = group_module.distributed
        monkeypatch.setattr(distributed, "init_process_group", lambda name, **_: self.asked.append(name))
        monkeypatch.setattr(distributed, "destroy_process_group", lambda: self.asked.append("left"))


def test_gpus_are_connected_by_nccl_one_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCuda(monkeypatch)
    with join_group("cuda", environment={"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}) as group:
        assert (group.rank, group.size, group.is_main) == (1, 2, False)
    assert fake.asked == [1, "nccl", "left"]


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCuda(monkeypatch)
    place = {"WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "2"}
    with pytest.raises(ResourceError, match="no GPU 2: there are 2"), join_group("cuda", environment=place):
        pytest.fail("joined")


def test_an_error_that_is_not_the_connections_passes_unchanged() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), lost_neighbours_named():
        raise RuntimeError("shapes differ")


def ask_ranks(check: str, folder: Path) -> list[dict[str, Any] | None]:
    """Run a check in two processes; None is the answer of one that died."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    where["PYTHONPATH"] = os.pathsep.join([str(ROOT), where.get("PYTHONPATH", "")])
    where["WORLD_SIZE"] = str(ranks.SIZE)
    started = [
        subprocess.Popen(
            [sys.executable, ranks.__file__, check, str(folder)],
            env={**where, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(ranks.SIZE)
    ]
    for process in started:
        process.wait(timeout=600)
    answers = [folder / f"{check}-{rank}.json" for rank in range(ranks.SIZE)]
    return [json.loads(path.read_text()) if path.exists() else None for path in answers]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return ask_ranks("all", tmp_path_factory.mktemp("ranks"))


@pytest.mark.slow
def test_sums_and_gradients_are_those_of_all_processes(answers: list[Any]) -> None:
    alone = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    with torch.no_grad():
        for index, item in enumerate(alone.parameters()):
            item.copy_(torch.arange(item.numel()).view_as(item) * 0.1 + index)
    alone(torch.arange(10.0).view(5, 2)).sum().backward()
    for answer in answers:
        assert answer["sum"] == [2, 1]
        for name, item in alone.named_parameters():
            assert item.grad is not None
            torch.testing.assert_close(torch.tensor(answer["gradients"][f"{name}"]), item.grad)


@pytest.mark.slow
@pytest.mark.parametrize("count", [7, 1])
def test_synchronised_norms_are_torchs_own_over_the_global_batch(answers: list[Any], count: int) -> None:
    norm = ranks.prepare_norm(nn.BatchNorm2d(3))
    maps, weights = ranks.make_batch(count)
    maps.requires_grad_()
    outputs = norm(maps)
    (outputs * weights).sum().backward()
    assert maps.grad is not None
    parts = [answer[f"norm of {count}"] for answer in answers]

    def joined(key: str) -> torch.Tensor:
        return torch.cat([torch.tensor(part[key]).view(-1, 3, 4, 5) for part in parts])

    close = {"rtol": 1e-3, "atol": 1e-3}  # the third channel is a thousand deviations from zero
    torch.testing.assert_close(joined("outputs"), outputs.detach(), **close)
    torch.testing.assert_close(joined("maps_grad"), maps.grad, **close)
    for name, parameter in norm.named_parameters():
        total = sum(torch.tensor(part[f"{name}_grad"]) for part in parts)
        torch.testing.assert_close(total, parameter.grad, **close)
    for part in parts:
        for name, buffer in norm.named_buffers():
            torch.testing.assert_close(torch.tensor(part[name]), buffer, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_no_process_reads_a_checkpoint_before_the_first_has_finished_what_a_crash_left(tmp_path: Path) -> None:
    begin(tmp_path, small_recipe())
    first, second = ask_ranks("resume", tmp_path)
    assert first is not None
    assert second is not None
    assert first["epochs"] == 3
    assert "kind" not in second
    assert second["read"] >= first["cleared"]  # one clock for all processes of a machine


@pytest.mark.slow
def test_processes_that_would_go_on_from_different_places_are_refused(tmp_path: Path) -> None:
    run = begin(tmp_path, small_recipe()).run
    before = read_left(run)
    for answer in ask_ranks("resume another", tmp_path):
        assert answer is not None
        assert answer["kind"] == "ResourceError"
        assert "read different checkpoints to go on from (process 0 " in answer["message"]
    assert read_left(run) == before


@pytest.mark.slow
def test_a_process_whose_neighbour_dies_says_so_instead_of_waiting(tmp_path: Path) -> None:
    first, second = ask_ranks("lost", tmp_path)
    assert second is None
    assert first is not None
    assert first["kind"] == "ResourceError"
    assert "another process of this training is gone" in first["message"]
    assert "\n" not in first["message"]


def read_history(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "history.csv").read_text().splitlines()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        pytest.param((), id="no norm"),
        pytest.param(("normalisation=batch", "average_decay=0.9"), id="norm and average"),
    ],
)
def test_two_processes_learn_what_one_learns_and_speak_with_one_voice(more: tuple[str, ...], tmp_path: Path) -> None:
    training = run_to_end(tmp_path / "two", *arguments(*SAME, *more), processes=2)
    alone = begin(tmp_path / "one", small_recipe(*SAME, *more), data=load_dataset("mnist-mini"))
    run = run_of(tmp_path / "two")
    assert list((tmp_path / "two" / "runs").iterdir()) == [run]
    rows = read_history(run)
    assert len(rows) == len(alone.rows) == 2
    for row, expected in zip(rows, alone.rows, strict=True):
        assert float(row["train_loss"]) == pytest.approx(expected.train_loss, abs=1e-4)
        assert float(row["validation_loss"]) == pytest.approx(expected.validation_loss, abs=1e-4)
    config = json.loads((run / "config.json").read_text())
    assert config["training"]["processes"] == 2
    assert config["recipe"]["batch_size"] == ODD_BATCH  # of both together: the losses above say so
    lines = [line for line in training.out.splitlines() if line.strip()]
    assert "training on cpu over 2 processes with float32 products" in training.out
    assert [line for line in lines if line.startswith(("epoch", "training on", "run ", "test accuracy"))] == [
        line for line in dict.fromkeys(lines) if line.startswith(("epoch", "training on", "run ", "test accuracy"))
    ]
    assert training.out.count("epoch 1/2") == training.out.count("test accuracy") == 1
    assert "Warning" not in training.err
    assert "Traceback" not in training.err
    assert (run / "evaluation.json").exists()


LONG = ("batch_size=100", "epochs=12", "normalisation=batch", "average_decay=0.9", "rotation_degrees=5")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted training over two processes."""
    root = tmp_path_factory.mktemp("whole")
    run_to_end(root, *arguments(*LONG), processes=2)
    return run_of(root)


def assert_same(run: Path, whole: Path) -> None:
    left, expected = read_left(run), read_left(whole)
    assert left == expected


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_training_which_goes_on_to_the_same_bytes(
    victim: int, whole: Path, tmp_path: Path
) -> None:
    with Training(tmp_path, *arguments(*LONG), processes=2) as training:
        training.wait_for("epoch  2/12")
        started = training.ranks()
        assert len(started) == 2
        os.kill(started[victim], signal.SIGKILL)
        assert training.end() not in {0, 70}
        assert not any(Path(f"/proc/{number}").exists() for number in started)
    own = [line for line in training.err.splitlines() if line.startswith("error: ")]
    # torchrun may end the survivor before it can speak.
    assert all("another process of this training is gone" in line for line in own)
    assert len(own) <= 1
    alone = subprocess.run(
        [sys.executable, "-m", "toolkit", "train", "--resume", "latest"],
        env={**os.environ, "TOOLKIT_ARTIFACTS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert alone.returncode == 2
    assert "processes was 2, is 1; --allow-drift goes on" in alone.stderr
    run_to_end(tmp_path, "--resume", "latest", processes=2)
    assert_same(run_of(tmp_path), whole)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_torchrun_saves_in_step_and_goes_on_to_the_same_bytes(
    number: signal.Signals, whole: Path, tmp_path: Path
) -> None:
    with Training(tmp_path, *arguments(*LONG), processes=2) as training:
        training.wait_for("epoch  2/12")
        training.process.send_signal(number)
        assert training.end() != 0
    own = [line for line in training.err.splitlines() if line.startswith("error: ")]
    assert len(own) == 1, training.err
    words = f"; saved, go on, again over 2 processes, with: toolkit train --resume {run_of(tmp_path)}"
    assert own[0].endswith(words)
    run_to_end(tmp_path, "--resume", "latest", processes=2)
    assert_same(run_of(tmp_path), whole)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_three_processes_go_on_to_the_same_bytes(tmp_path: Path) -> None:
    # Three numbers have orders to be added up in; two have not.
    settings = arguments("epochs=4", "batch_size=100")
    run_to_end(tmp_path / "whole", *settings, processes=3)
    with Training(tmp_path / "cut", *settings, processes=3) as training:
        training.wait_for("epoch 1/4")
        training.process.send_signal(signal.SIGTERM)
        training.end()
    run_to_end(tmp_path / "cut", "--resume", "latest", processes=3)
    assert_same(run_of(tmp_path / "cut"), run_of(tmp_path / "whole"))


@pytest.mark.slow
def test_more_processes_than_before_are_drift_that_can_be_allowed(tmp_path: Path) -> None:
    report = begin(tmp_path, small_recipe("batch_size=400"), data=load_dataset("mnist-mini"))
    with Training(tmp_path, "--resume", "latest", "--epochs", "+1", processes=2) as training:
        assert training.end() != 0
    own = [line for line in training.err.splitlines() if line.startswith("error: ")]
    assert own == [
        f"error: the run {report.run.name} cannot go on as it was: processes was 1, is 2; --allow-drift goes on"
    ]
    run_to_end(tmp_path, "--resume", "latest", "--epochs", "+1", "--allow-drift", processes=2)
    assert len(read_history(report.run)) == 3
    with pytest.raises(UsageError, match="processes was 2, is 1"):
        go_on(tmp_path, data=load_dataset("mnist-mini"))


@pytest.mark.slow
def test_a_process_that_cannot_write_does_not_leave_the_other_waiting(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with Training(tmp_path, *arguments(*SAME), processes=2) as training:
        assert training.end() != 0
    assert "cannot make the run folder" in training.err
    assert "a bug in toolkit" not in training.err


@pytest.mark.slow
def test_a_lost_loss_is_told_once_by_all_processes(tmp_path: Path) -> None:
    wild = ("learning_rate=90", "weight_decay=9", "schedule=constant", "epochs=40")
    with Training(tmp_path, *arguments(*SAME, *wild), processes=2) as training:
        assert training.end() != 0
    own = [line for line in training.err.splitlines() if line.startswith("error: ")]
    assert len(own) == 1, training.err
    assert " at step " in own[0]
