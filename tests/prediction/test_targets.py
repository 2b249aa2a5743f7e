from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from killed import IDENTITY, UNKILLABLE, answer_of

from toolkit.errors import ModelError, ResourceError, StoppedError, UsageError
from toolkit.prediction.run import stopping_kept
from toolkit.prediction.sinks import target as target_module
from toolkit.prediction.sinks.target import FileTarget, Progress, StreamTarget, latest_unfinished, part_of, record_of


def begin(path: Path, *, rows: int = 2, identity: dict[str, Any] | None = None) -> None:
    """An output that was stopped after some rows."""
    with FileTarget(path, identity or IDENTITY, resume=False, force=False) as target:
        target.stream.write(b"row\n" * rows)
        target.advance(Progress(rows=rows, errors=1, last=("a.npy", rows - 1)))


def test_a_whole_output_takes_its_name_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "o.csv"
    with FileTarget(path, IDENTITY, resume=False, force=False) as target:
        target.stream.write(b"row\n")
        assert not path.exists()
        target.advance(Progress(rows=1))
        target.finish()
    assert path.read_bytes() == b"row\n"
    assert [entry.name for entry in path.parent.iterdir()] == ["o.csv"]


def test_a_stopped_output_is_gone_on_with_from_its_record(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    begin(path)
    with part_of(path).open("ab") as stream:
        stream.write(b"half a r")  # written, but never recorded
    with FileTarget(path, IDENTITY, resume=True, force=False) as target:
        assert target.progress == Progress(rows=2, errors=1, last=("a.npy", 1))
        target.stream.write(b"last\n")
        target.finish()
    assert path.read_bytes() == b"row\nrow\nlast\n"
    assert not record_of(path).exists()


def test_an_output_without_rows_leaves_nothing(tmp_path: Path) -> None:
    with FileTarget(tmp_path / "o.csv", IDENTITY, resume=False, force=False) as target:
        target.stream.write(b"header\n")
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_that_cannot_be_made_of_the_part_leaves_no_half_of_it(tmp_path: Path) -> None:
    def fill_the_disk(whole: BinaryIO) -> None:
        whole.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "o.parquet"
    with FileTarget(path, IDENTITY, resume=False, force=False) as target:
        target.stream.write(b"row\n")
        target.advance(Progress(rows=1))
        with pytest.raises(ResourceError, match="No space left"):
            target.finish(fill_the_disk)
    assert sorted(tmp_path.iterdir()) == [part_of(path), record_of(path)]
    with FileTarget(path, IDENTITY, resume=True, force=False) as target:
        target.finish(lambda whole: target.stream.seek(0) or shutil.copyfileobj(target.stream, whole))
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("o.parquet", b"row\n")]


def test_a_whole_part_that_cannot_take_its_name_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Path) -> None:
        raise ResourceError("cannot rename")

    path = tmp_path / "o.csv"
    with monkeypatch.context() as patch, FileTarget(path, IDENTITY, resume=False, force=False) as target:
        patch.setattr(target_module, "move_durably", refuse)
        target.stream.write(b"row\n")
        target.advance(Progress(rows=1))
        with pytest.raises(ResourceError, match="cannot rename"):
            target.finish()
    with FileTarget(path, IDENTITY, resume=True, force=False) as target:
        assert target.progress.rows == 1
        target.finish()
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("o.csv", b"row\n")]


def test_an_unfinished_output_is_not_begun_anew_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    begin(path)
    with pytest.raises(UsageError, match="--resume or start over with --force"):
        FileTarget(path, IDENTITY, resume=False, force=False)
    assert part_of(path).read_bytes() == b"row\nrow\n"
    with FileTarget(path, IDENTITY, resume=False, force=True) as target:
        assert target.progress.rows == 0
        target.finish()
    assert path.read_bytes() == b""


def test_another_request_cannot_go_on(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    begin(path)
    with pytest.raises(UsageError, match="begun with model 'abc', now it is 'def'"):
        FileTarget(path, {**IDENTITY, "model": "def"}, resume=True, force=False)


def test_rows_of_an_older_layout_cannot_be_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    begin(path)
    with pytest.raises(
        UsageError, match="begun by another version, whose rows have other columns; start over with --f"
    ):
        FileTarget(path, {**IDENTITY, "columns": "source,doubtful"}, resume=True, force=False)


@pytest.mark.parametrize(
    "record",
    ["", "[]", "{}", '{"identity": 1}', json.dumps({"identity": IDENTITY, "bytes": "x", "last": None})],
)
def test_a_damaged_record_is_refused(tmp_path: Path, record: str) -> None:
    path = tmp_path / "o.csv"
    begin(path)
    record_of(path).write_text(record)
    with pytest.raises(UsageError, match="cannot be used"):
        FileTarget(path, IDENTITY, resume=True, force=False)


def test_a_part_that_lost_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    begin(path)
    os.truncate(part_of(path), 3)
    with pytest.raises(UsageError, match="shorter than its record"):
        FileTarget(path, IDENTITY, resume=True, force=False)


def test_nothing_to_go_on_with_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to resume"):
        FileTarget(tmp_path / "o.csv", IDENTITY, resume=True, force=False)
    with pytest.raises(UsageError, match="nothing to resume"):
        latest_unfinished(tmp_path)


def test_the_latest_unfinished_output_is_found(tmp_path: Path) -> None:
    for number, name in enumerate(("b.csv", "a.csv")):
        begin(tmp_path / name)
        os.utime(record_of(tmp_path / name), (number, number))
    assert latest_unfinished(tmp_path) == tmp_path / "a.csv"


def test_a_place_that_cannot_be_written_is_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot write"):
        FileTarget(tmp_path / "file" / "o.csv", IDENTITY, resume=False, force=False)


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_a_signal_keeps_the_rows_and_says_how_to_go_on(tmp_path: Path, stop: BaseException, code: int) -> None:
    path = tmp_path / "o.csv"

    def work() -> None:
        with FileTarget(path, IDENTITY, resume=False, force=False) as target, stopping_kept(target, path):
            target.stream.write(b"row\n")
            target.advance(Progress(rows=1))
            raise stop

    with pytest.raises(StoppedError, match=r"after 1 row,.*o\.csv --resume") as caught:
        work()
    assert caught.value.exit_code == code
    assert json.loads(record_of(path).read_bytes())["rows"] == 1


def test_a_model_that_fails_leaves_nothing_and_a_full_disk_leaves_the_rows(tmp_path: Path) -> None:
    def work(error: Exception) -> None:
        path = tmp_path / "o.csv"
        with FileTarget(path, IDENTITY, resume=False, force=True) as target, stopping_kept(target, path):
            target.stream.write(b"row\n")
            target.advance(Progress(rows=1))
            raise error

    with pytest.raises(ModelError):
        work(ModelError("broken"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ResourceError):
        work(ResourceError("full"))
    assert part_of(tmp_path / "o.csv").read_bytes() == b"row\n"


def test_a_stream_is_handed_on_and_left_open(tmp_path: Path) -> None:
    with (tmp_path / "s").open("w+b") as stream:
        with StreamTarget(stream) as target:
            stream.write(b"row\n")
            target.advance(Progress(rows=1))
            assert (tmp_path / "s").read_bytes() == b"row\n"
            target.discard()
            target.finish()
        assert not stream.closed


@pytest.mark.skipif(UNKILLABLE is not None, reason=str(UNKILLABLE))
@pytest.mark.parametrize("old", ["", "old"])
@pytest.mark.parametrize("turns", [False, True])
def test_killed_at_any_system_call_an_output_is_whole_or_gone_on_with(tmp_path: Path, turns: bool, old: str) -> None:
    assert answer_of("output", tmp_path / "o" / "rows", turns, old) == ["gone on with", "not begun", "whole"]
