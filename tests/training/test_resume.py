"""A training stopped anywhere and gone on with ends as if nothing had happened, or says why it cannot (20, 25, 26)."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bar_images import write_bars
from commands_here import exit_code_of
from small_training import EVERYTHING, Listener, begin, go_on, make_bars, read_left, small_recipe

from toolkit.artifacts import ArtifactStore
from toolkit.data import load_dataset
from toolkit.errors import CheckFailedError, ModelError, ResourceError, StoppedError, UsageError
from toolkit.network.device import TorchMachine, has_fast_bfloat16
from toolkit.runs.checkpoint import read_checkpoint
from toolkit.runs.run import find_run, read_run
from toolkit.training import run_writer as folder_module
from toolkit.training.recipe import Recipe
from toolkit.training.run_writer import save_state
from toolkit.training.train import TrainReport

# Signals are a command's to hear.
pytestmark = pytest.mark.usefixtures("own_process")

STEPS = 10  # 80 images in batches of 16, twice


class CrashError(Exception):
    """Stands for a process that is gone: nothing is saved after it."""


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[pytest.param("plain", marks=pytest.mark.slow), "everything", "everything in bfloat16"])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    if request.param == "plain":
        return small_recipe(base="tutorial")
    if request.param == "everything":
        return small_recipe(*EVERYTHING)
    if not has_fast_bfloat16("cpu", machine=TorchMachine()):
        pytest.skip("this CPU has no bfloat16 units, so precision=auto is float32")
    return small_recipe(*EVERYTHING, "precision=auto")


def raise_at(number: int, error: Callable[[], BaseException] = CrashError) -> Listener:
    def act(count: int) -> None:
        if count == number:
            raise error()

    return Listener(act)


def signal_at(number: int, which: signal.Signals = signal.SIGTERM) -> Listener:
    return Listener(lambda count: os.kill(os.getpid(), which) if count == number else None)


def test_stopped_by_a_signal_after_every_single_step_a_training_ends_in_the_same_bytes(
    recipe: Recipe, tmp_path: Path
) -> None:
    whole = begin(tmp_path / "whole", recipe)
    with pytest.raises(StoppedError, match="step 1 of epoch 1; saved, go on with: toolkit train --resume") as stopped:
        begin(tmp_path / "cut", recipe, listener=signal_at(0, signal.SIGINT))
    assert stopped.value.exit_code == 130
    places = []
    for _ in range(STEPS - 2):
        with pytest.raises(StoppedError) as stopped:
            go_on(tmp_path / "cut", listener=signal_at(0))
        assert stopped.value.exit_code == 143
        places.append(str(stopped.value).split(";")[0])
    steps = [(step, epoch) for epoch in (1, 2) for step in (1, 2, 3, 4, 5)]
    assert places == [f"stopped after step {step} of epoch {epoch}" for step, epoch in steps[1:-1]]
    # Not the last step's end but the run's: nothing is left to do but to judge.
    with pytest.raises(StoppedError, match="step 5 of epoch 2"):
        go_on(tmp_path / "cut", listener=signal_at(0))
    report = go_on(tmp_path / "cut")
    assert report.checkpoint_sha256 == whole.checkpoint_sha256
    assert read_left(report.run) == read_left(whole.run)


def test_a_signal_after_the_last_step_is_not_swallowed(tmp_path: Path) -> None:
    recipe = small_recipe()
    whole = begin(tmp_path / "whole", recipe)
    with pytest.raises(StoppedError, match="after the last epoch; saved, go on with") as stopped:
        begin(tmp_path / "cut", recipe, listener=signal_at(STEPS))
    assert stopped.value.exit_code == 143
    assert read_left(go_on(tmp_path / "cut").run) == read_left(whole.run)


def test_crashed_in_every_single_step_a_training_ends_in_the_same_bytes(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = begin(tmp_path / "whole", recipe)
    monkeypatch.setattr(folder_module, "SAVE_EVERY_S", -1.0)  # after every step
    with pytest.raises(CrashError):
        begin(tmp_path / "cut", recipe, listener=raise_at(2))
    for _ in range(STEPS - 2):
        with pytest.raises(CrashError):
            go_on(tmp_path / "cut", listener=raise_at(2))  # one step is saved, the next is lost
    report = go_on(tmp_path / "cut")
    assert read_left(report.run) == read_left(whole.run)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_crashed_between_the_saves_of_an_epoch_a_training_ends_in_the_same_bytes(
    after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_recipe(*EVERYTHING)
    whole = begin(tmp_path / "whole", recipe)
    for number in itertools.count(1):
        root, count = tmp_path / str(number), 0

        def save_or_crash(path: Path, state: Any) -> str:
            nonlocal count
            count += 1
            if count == number and not after:  # noqa: B023 - used within this turn only
                raise CrashError
            digest = save_state(path, state)
            if count == number:  # noqa: B023 - used within this turn only
                raise CrashError
            return digest

        with monkeypatch.context() as patch:
            patch.setattr(folder_module, "save_state", save_or_crash)
            try:
                begin(root, recipe)
            except CrashError:
                assert count == number
            else:
                break
        if number == 1 and not after:
            with pytest.raises(ModelError, match="stopped before its first save: train again"):
                go_on(root)
        else:
            assert read_left(go_on(root).run) == read_left(whole.run), f"crashed at save {number}"
    assert number > 4  # last, best and kept of two epochs, the second one best or not


def test_a_run_that_never_finished_an_epoch_goes_on_where_it_was_saved_else_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        begin(tmp_path / "saved", small_recipe(), listener=signal_at(1))
    listener = Listener()
    go_on(tmp_path / "saved", listener=listener)
    assert listener.messages == ["going on after epoch 0, step 2 of the next from last.safetensors"]
    with pytest.raises(CrashError):
        begin(tmp_path / "lost", small_recipe(), listener=raise_at(1))
    with pytest.raises(ModelError, match="stopped before its first save: train again"):
        go_on(tmp_path / "lost")
    with pytest.raises(UsageError, match="no run to go on with yet"):
        go_on(tmp_path / "nothing")


def test_more_epochs_count_on_in_a_new_cycle_that_may_be_interrupted_too(tmp_path: Path) -> None:
    recipe, listener = small_recipe(), Listener()
    for name in ("whole", "cut"):
        begin(tmp_path / name, recipe)
    whole = go_on(tmp_path / "whole", epochs="+2", listener=listener)
    assert [row.epoch for row in whole.rows] == [1, 2, 3, 4]
    assert "the schedule onecycle starts a new cycle of 2 epochs" in listener.messages
    rates = [row.learning_rate for row in whole.rows]
    assert rates[:2] == rates[2:]
    assert json.loads((whole.run / "config.json").read_text())["training"]["cycles"] == [2, 2]
    with pytest.raises(StoppedError, match="step 3 of epoch 3"):
        go_on(tmp_path / "cut", epochs="4", listener=signal_at(2))
    later = Listener()
    assert read_left(go_on(tmp_path / "cut", listener=later).run) == read_left(whole.run)
    assert len(later.messages) == 1  # the cycle is no news any more


def test_a_constant_rate_has_no_cycle_to_speak_of(tmp_path: Path) -> None:
    listener = Listener()
    begin(tmp_path, small_recipe(base="tutorial"))
    go_on(tmp_path, epochs="+1", listener=listener)
    assert listener.messages == ["going on after epoch 2 from last.safetensors"]


def test_a_recipe_with_more_epochs_is_no_drift_but_a_request(tmp_path: Path) -> None:
    begin(tmp_path, small_recipe())
    assert len(go_on(tmp_path, recipe=small_recipe("epochs=3")).rows) == 3
    with pytest.raises(UsageError, match="planned for 3; a run can only be made longer"):
        go_on(tmp_path, recipe=small_recipe("epochs=1"))


@pytest.mark.parametrize(
    ("epochs", "words"), [("1", "only be made longer"), ("+0", "longer"), ("-3", "longer"), ("x", r"expected \+5")]
)
def test_fewer_epochs_than_planned_are_refused(epochs: str, words: str, tmp_path: Path) -> None:
    report = begin(tmp_path, small_recipe())
    before = (report.run / "config.json").read_bytes()
    with pytest.raises(UsageError, match=words):
        go_on(tmp_path, epochs=epochs)
    assert (report.run / "config.json").read_bytes() == before


def test_every_difference_is_listed_and_nothing_is_touched(tmp_path: Path) -> None:
    report = begin(tmp_path, small_recipe(), threads=1)
    path = report.run / "config.json"
    config = json.loads(path.read_text())
    config["training"]["versions"]["torch"] = "1.0"
    config["training"]["processes"] = 2
    path.write_text(json.dumps(config))
    before = {item: item.read_bytes() for item in report.run.rglob("*") if item.is_file()}
    data = make_bars()
    other = replace(data, train=data.train.relabel(1 - data.train.labels))
    changed = small_recipe("learning_rate=0.01", "dropout=0.1", "average_decay=0.5")
    with pytest.raises(UsageError, match="--allow-drift goes on") as caught:
        go_on(tmp_path, data=other, recipe=changed, seed=7, threads=2, epochs="+1")
    listed = str(caught.value)
    for words in (
        "learning_rate was 0.002, is 0.01",
        "dropout was 0.3, is 0.1",
        "average_decay was 0.0, is 0.5",
        f"data was {data.sha256[:12]}, is {other.sha256[:12]}",
        "seed was 0, is 7",
        "threads was 1, is 2",
        "processes was 2, is 1",
        f"torch version was 1.0, is {torch.__version__}",
    ):
        assert words in listed
    assert "precision" not in listed
    assert {item: item.read_bytes() for item in report.run.rglob("*") if item.is_file()} == before


def test_allowed_drift_is_said_recorded_and_remembered(tmp_path: Path) -> None:
    begin(tmp_path, small_recipe())
    listener = Listener()
    report = go_on(
        tmp_path, recipe=small_recipe("learning_rate=0.01"), allow_drift=True, epochs="+1", listener=listener
    )
    assert "drift: learning_rate was 0.002, is 0.01" in listener.messages
    go_on(tmp_path, epochs="+1", seed=3, allow_drift=True)
    training = json.loads((report.run / "config.json").read_text())["training"]
    assert training["drift"] == ["learning_rate was 0.002, is 0.01", "seed was 0, is 3"]
    assert len(go_on(tmp_path).rows) == 4  # what was allowed is now as recorded


def test_another_network_cannot_be_gone_on_with_whatever_is_allowed(tmp_path: Path) -> None:
    begin(tmp_path, small_recipe())
    with pytest.raises(ModelError, match=r"another network: hidden_units was 16, is 8; train a new run"):
        go_on(tmp_path, recipe=small_recipe("hidden_units=8"), allow_drift=True, epochs="+1")
    with pytest.raises(ModelError, match="another kind of training"):
        go_on(tmp_path, recipe=small_recipe("average_decay=0.5"), allow_drift=True, epochs="+1")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "bit": _flip,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "missing tensors": lambda path: path.unlink(),
    "missing JSON": lambda path: path.with_suffix(".json").unlink(),
    "bit in the JSON": lambda path: _flip(path.with_suffix(".json")),
    "truncated JSON": lambda path: os.truncate(path.with_suffix(".json"), 100),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_last_checkpoint_falls_back_to_the_newest_whole_one_and_says_so(damage: str, tmp_path: Path) -> None:
    recipe = small_recipe("epochs=3")
    whole = begin(tmp_path / "whole", recipe)
    with pytest.raises(StoppedError, match="step 2 of epoch 3"):
        begin(tmp_path / "cut", recipe, listener=signal_at(11))
    run = ArtifactStore(root=tmp_path / "cut").latest_started_run()
    DAMAGES[damage](run / "checkpoints" / "last.safetensors")
    first, second = signal_at(0), Listener()
    with pytest.raises(StoppedError, match="step 1 of epoch 3"):
        go_on(tmp_path / "cut", listener=first)
    assert first.messages[0].startswith("damaged, passed over: ")
    assert "/last." in first.messages[0]
    assert first.messages[1] in {f"going on after epoch 2 from {name}.safetensors" for name in ("best", "epoch-002")}
    go_on(tmp_path / "cut", listener=second)
    assert second.messages == ["going on after epoch 2, step 1 of the next from last.safetensors"]  # mended
    assert read_left(run) == read_left(whole.run)


def test_without_any_whole_checkpoint_the_run_cannot_go_on(tmp_path: Path) -> None:
    report = begin(tmp_path, small_recipe())
    for path in (report.run / "checkpoints").glob("*.safetensors"):
        os.truncate(path, 10)
    with pytest.raises(ModelError, match=r"holds no checkpoint to go on from: .*SHA-256") as caught:
        go_on(tmp_path)
    assert caught.value.exit_code == 4


def test_a_checkpoint_that_is_no_regular_file_is_passed_over_unopened(tmp_path: Path) -> None:
    last = begin(tmp_path, small_recipe()).run / "checkpoints" / "last.safetensors"
    last.unlink()
    os.mkfifo(last)  # opening it would wait for a writer for ever
    listener = Listener()
    go_on(tmp_path, listener=listener)
    assert "not a regular file" in listener.messages[0]
    assert last.is_file()


@pytest.mark.parametrize("text", ["", "epoch\n1\n", "\0"])
def test_a_damaged_history_says_what_can_be_done(text: str, tmp_path: Path) -> None:
    run = begin(tmp_path, small_recipe()).run
    (run / "history.csv").write_text(text)
    with pytest.raises(ModelError, match=r"history\.csv .*put it back as it was, or train again"):
        go_on(tmp_path)


def test_the_leavings_of_a_killed_save_are_cleared(tmp_path: Path) -> None:
    recipe = small_recipe()
    whole = begin(tmp_path / "whole", recipe)
    with pytest.raises(StoppedError):
        begin(tmp_path / "cut", recipe, listener=signal_at(3))
    run = ArtifactStore(root=tmp_path / "cut").latest_started_run()
    for name in ("checkpoints/.last.json.abc.tmp", ".history.csv.x.tmp", ".history.png.y.tmp"):
        (run / name).write_bytes(b"half")
    (run / "checkpoints" / "best.next.safetensors").write_bytes(b"never committed")
    go_on(tmp_path / "cut")
    assert read_left(run) == read_left(whole.run)


def test_a_failing_step_leaves_the_last_checkpoint_whole_and_resumable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, steps = small_recipe(), 0
    whole = begin(tmp_path / "whole", recipe)
    real = torch.nn.functional.cross_entropy

    def lose(*arguments: Any, **named: Any) -> torch.Tensor:
        nonlocal steps
        steps += named.get("reduction") == "sum"
        loss: torch.Tensor = real(*arguments, **named)
        return loss * float("nan") if steps == 8 else loss

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "cross_entropy", lose)
        with pytest.raises(CheckFailedError, match="loss is nan at step 3 of epoch 2; nothing was stepped with it"):
            begin(tmp_path / "cut", recipe)
    run = ArtifactStore(root=tmp_path / "cut").latest_started_run()
    assert read_checkpoint(run / "checkpoints" / "last.safetensors").epoch == 1
    assert read_left(go_on(tmp_path / "cut").run) == read_left(whole.run)


@pytest.mark.parametrize("number", [3, 9, 14, 20])
def test_a_disk_that_fails_ends_the_training_and_leaves_it_resumable(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, real, calls = small_recipe(), os.fsync, 0
    whole = begin(tmp_path / "whole", recipe)

    def fail(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= number + 4:  # the folder, config.json and latest.json are written before the first step
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        patch.setattr(folder_module, "SAVE_EVERY_S", -1.0)
        with pytest.raises(ResourceError, match="No space left on device") as caught:
            begin(tmp_path / "cut", recipe)
    assert caught.value.exit_code == 5
    run = ArtifactStore(root=tmp_path / "cut").latest_started_run()
    assert not list(run.rglob("*.tmp"))
    assert not list(run.rglob("*.next.safetensors"))
    if number > 5:  # two files and their folder were written
        assert read_left(go_on(tmp_path / "cut").run) == read_left(whole.run)


# The commands


@pytest.fixture
def mini(tmp_path: Path) -> TrainReport:
    """A run of two epochs on a file's images in the folder where the commands look; every second epoch is kept."""
    path = write_bars(tmp_path)
    return begin(
        tmp_path / "artifacts",
        small_recipe("kernel_size=3"),
        data=load_dataset(str(path)),
        data_source=str(path),
        keep_every=2,
    )


def test_kept_epochs_and_the_best_one_are_named_after_the_run(mini: TrainReport) -> None:
    assert read_checkpoint(read_run(Path(f"{mini.run}@2")).checkpoint_path).epoch == 2
    accuracies = [row.validation_accuracy or 0 for row in mini.rows]
    best = read_checkpoint(read_run(Path(f"{mini.run}@best")).checkpoint_path)
    assert best.epoch == accuracies.index(max(accuracies)) + 1
    assert sorted(path.name for path in (mini.run / "checkpoints").glob("epoch*.safetensors")) == [
        "epoch-002.safetensors"
    ]
    store = ArtifactStore(root=mini.run.parents[1])
    assert find_run(Path(f"{mini.run.name}@2"), store=store) == Path(f"{mini.run}@2")


def test_the_command_says_what_cannot_be_and_when_nothing_is_left_to_do(
    mini: TrainReport, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_left(mini.run)
    for arguments, words in (
        (["evaluate", f"{mini.run}@7"], "keeps no checkpoint @7; it keeps @best, @2 beside its last"),
        (["train", "--resume", f"{mini.run.name}@2"], "a run goes on from its furthest"),
        (["train", "--resume", "latest", "--epochs", "1"], "planned for 2; a run can only be made longer"),
        (["train", "--resume", "latest", "--seed", "4", "--set", "dropout=0.1"], "dropout was 0.3, is 0.1; seed was 0"),
    ):
        assert exit_code_of(*arguments, debug=False) == 2
        complaint = capsys.readouterr().err
        assert words in complaint
        assert complaint.count("\n") == 1
    assert exit_code_of("train", "--resume", "latest", debug=False) == 0
    assert "all 2 epochs are done; add more with --epochs +5" in capsys.readouterr().out
    after = read_left(mini.run)
    assert (after["checkpoints"], after["history"]) == (before["checkpoints"], before["history"])


def test_a_second_training_of_the_same_run_is_refused_while_the_first_one_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That a run is held against other processes, too, is tried with every kind of output (test_holding)."""
    path = write_bars(tmp_path)
    data = load_dataset(str(path))
    codes: list[int] = []

    def try_another(count: int) -> None:
        if count == 8:  # one epoch is saved
            codes.append(exit_code_of("train", "--resume", "latest", debug=False))

    report = begin(
        tmp_path / "artifacts",
        small_recipe("kernel_size=3"),
        data=data,
        data_source=str(path),
        listener=Listener(try_another),
    )
    assert codes == [5]
    assert capsys.readouterr().err.splitlines() == [
        f"error: the run {report.run} is being trained by another process; wait for it or train another run"
    ]
    go_on(tmp_path / "artifacts", data=data)


def test_a_loss_that_is_lost_ends_the_command_with_1_and_names_the_step(
    mini: TrainReport, capsys: pytest.CaptureFixture[str]
) -> None:
    # Every step then multiplies the weights by 1 - 90 * 9.
    wild = ["--set", "learning_rate=90", "--set", "weight_decay=9", "--set", "schedule=constant"]
    assert exit_code_of("train", "--resume", "latest", "--allow-drift", "--epochs", "+40", *wild, debug=False) == 1
    complaint = capsys.readouterr().err.splitlines()
    assert len(complaint) == 1
    assert " at step " in complaint[0]
    assert " of epoch " in complaint[0]
    assert read_checkpoint(mini.run / "checkpoints" / "last.safetensors").epoch >= 2
