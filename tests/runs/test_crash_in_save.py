"""A save that is cut short anywhere leaves the old checkpoint or the new one, never neither (FAULTS 21, 22)."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import UNKILLABLE, answer_of

from toolkit import durable
from toolkit.closing import Closing
from toolkit.errors import ResourceError
from toolkit.network.cnn import CNN
from toolkit.network.config import NetworkConfig
from toolkit.runs.checkpoint import _seal, read_checkpoint, write_checkpoint
from toolkit.runs.redo_log import finish_save, save_pair

TINY = NetworkConfig(height=16, width=16, classes=2, conv1_channels=1, conv2_channels=1, hidden_units=1)

Save = Callable[[Path], None]
State = dict[str, bytes]


class Killed(BaseException):
    """Ends a save as abruptly as Python can."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Checkpoints of the epochs 1, 2 and 3."""
    paths = {epoch: tmp_path_factory.mktemp("made") / "last.safetensors" for epoch in (1, 2, 3)}
    for epoch, path in paths.items():
        torch.manual_seed(epoch)
        write_checkpoint(path, CNN(TINY), epoch=epoch)
    return paths


@pytest.fixture(scope="module")
def saves(made: dict[int, Path]) -> dict[int, Save]:
    """Saves of those epochs with everything computed before."""
    return {epoch: _repeat(path) for epoch, path in made.items()}


def _repeat(made: Path) -> Save:
    import json

    data, description = made.read_bytes(), json.loads(made.with_suffix(".json").read_text())
    assert description == _seal({key: item for key, item in description.items() if key != "description_sha256"})
    return lambda path: save_pair(path, data, description=description)


@pytest.fixture
def last(tmp_path: Path, saves: dict[int, Save]) -> Path:
    """Epoch 1 saved in a folder of its own."""
    path = tmp_path / "checkpoints" / "last.safetensors"
    saves[1](path)
    return path


def capture(folder: Path) -> State:
    return {item.name: item.read_bytes() for item in folder.iterdir()}


def put_back(folder: Path, state: State) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    for name, data in state.items():
        (folder / name).write_bytes(data)


def names_of(state: State) -> list[str]:
    return sorted(state)


def kill_at_every_call(last: Path, number: int, made: dict[int, Path], *, allowed: set[int]) -> list[State]:
    """Kill the save of an epoch at every system call, from the same start; return what lay in the folder after each."""
    if UNKILLABLE is not None:
        pytest.skip(UNKILLABLE)
    left, states = last.parent.with_name("left"), []
    for count in range(answer_of("save", last, made[number], left)):
        states.append(capture(left / str(count)))
        put_back(last.parent, states[-1])
        assert read_checkpoint(last).epoch in allowed, f"killed at call {count}: {names_of(states[-1])}"
    return states


def named_files(state: State) -> tuple[tuple[str, bytes], ...]:
    """Return what has a name of its own: temporary files have random names and any length."""
    return tuple(sorted((name, data) for name, data in state.items() if not name.endswith(".tmp")))


def test_killed_at_any_system_call_the_old_or_the_new_checkpoint_loads(last: Path, made: dict[int, Path]) -> None:
    states = kill_at_every_call(last, 2, made, allowed={1, 2})
    old, *_, new = states
    assert "last.next.safetensors" not in old
    assert (old["last.safetensors"], new["last.safetensors"]) == (made[1].read_bytes(), made[2].read_bytes())
    assert len({named_files(state) for state in states}) == 4  # old; old with .next; committed with .next; new


def states_of_a_killed_save(last: Path, save: Save) -> dict[str, State]:
    """Return what a killed save can leave: nothing committed, committed but not renamed, done."""
    old = capture(last.parent)
    save(last)
    new = capture(last.parent)
    return {
        "begun": {**old, "last.next.safetensors": new["last.safetensors"], ".last.json.x.tmp": b"{"},
        "committed": {**old, "last.next.safetensors": new["last.safetensors"], "last.json": new["last.json"]},
        "done": new,
    }


@pytest.mark.parametrize("stage", ["begun", "committed", "done"])
def test_the_save_after_a_killed_save_may_be_killed_anywhere_too(
    last: Path, saves: dict[int, Save], made: dict[int, Path], stage: str
) -> None:
    put_back(last.parent, states_of_a_killed_save(last, saves[2])[stage])
    before = read_checkpoint(last).epoch
    assert before == (1 if stage == "begun" else 2)
    *_, new = kill_at_every_call(last, 3, made, allowed={before, 3})
    assert new["last.safetensors"] == made[3].read_bytes()
    assert [name for name, _ in named_files(new)] == ["last.json", "last.safetensors"]


CALLS = ("open", "write", "fsync", "replace", "rename", "close", "chmod", "unlink")


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, error: Callable[[], BaseException], *, after: bool) -> None:
    """Make the n-th of the calls that change files raise, before or after it took effect."""
    count = 0

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == number and not after:
                raise error()
            result = real(*arguments, **named)
            if count == number and after:
                raise error()
            return result

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, wrap(getattr(os, name)))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("stage", ["begun", "committed", "done"])
def test_interrupted_at_any_call_in_python_the_old_or_the_new_checkpoint_loads(
    last: Path, saves: dict[int, Save], stage: str, after: bool
) -> None:
    start, interruptions = states_of_a_killed_save(last, saves[2])[stage], 0
    before = 1 if stage == "begun" else 2
    for number in range(1, 100):
        put_back(last.parent, start)
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, number, Killed, after=after)
            try:
                saves[3](last)
            except Killed:
                interruptions += 1
            else:
                break
        assert read_checkpoint(last).epoch in {before, 3}, f"interrupted at call {number}"
        saves[1](last)
        assert read_checkpoint(last).epoch == 1
    assert interruptions > 8


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "_create_temporary"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_a_failing_disk_leaves_one_whole_checkpoint_and_no_litter(
    last: Path, saves: dict[int, Save], code: int, call: str, lasting: bool
) -> None:
    start, failures = capture(last.parent), 0
    for number in range(1, 20):
        put_back(last.parent, start)
        with pytest.MonkeyPatch.context() as patch:
            _break_disk(patch, call, code, number=number, lasting=lasting)
            message = _message_of(saves[2], last)
        if message is None:
            break
        assert os.strerror(code) in message
        failures += 1
        epoch = read_checkpoint(last).epoch
        left = names_of(capture(last.parent))
        assert not [name for name in left if name.endswith(".tmp")]
        is_last_rename = call == "replace" and epoch == 2
        assert left == ["last.json", *(["last.next.safetensors"] if is_last_rename else []), "last.safetensors"]
        if "last.next.safetensors" in left:
            finish_save(last)
            assert names_of(capture(last.parent)) == ["last.json", "last.safetensors"]
        saves[3](last)
        assert read_checkpoint(last).epoch == 3
    assert failures == {"write": 2, "fsync": 5, "replace": 3, "_create_temporary": 2}[call]


def _message_of(save: Save, path: Path) -> str | None:
    try:
        save(path)
    except ResourceError as error:
        return str(error)
    return None


def _break_disk(patch: pytest.MonkeyPatch, call: str, code: int, *, number: int, lasting: bool) -> None:
    calls = 0

    def is_broken() -> bool:
        nonlocal calls
        calls += 1
        return calls == number or (lasting and calls > number)

    def breaking(real: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(*arguments: Any, **named: Any) -> Any:
            if is_broken():
                raise OSError(code, os.strerror(code))
            return real(*arguments, **named)

        return replacement

    if call == "write":
        real_fdopen = os.fdopen

        def open_breaking(*arguments: Any, **named: Any) -> Any:
            stream = real_fdopen(*arguments, buffering=0, **named)
            return _Full(stream, code) if is_broken() else stream

        patch.setattr(os, "fdopen", open_breaking)
    else:
        owner = durable if call == "_create_temporary" else os
        patch.setattr(owner, call, breaking(getattr(owner, call)))


class _Full(Closing):
    """A file on a disk that fails as soon as something is written."""

    def __init__(self, stream: Any, code: int) -> None:
        self._stream, self._code = stream, code

    def close(self) -> None:
        self._stream.close()

    def write(self, data: bytes) -> int:
        self._stream.write(data[: len(data) // 2])
        raise OSError(self._code, os.strerror(self._code))
