"""Writers that are killed at every system call, each from a small process.

To fork pytest's own process, with all that it has loaded, takes ten times as long as what the child then does. So this
file is a program: `killed.py output|folder|save ARGUMENTS`, whose answer is one line of JSON. It loads no torch.
"""

from __future__ import annotations

__all__ = ["IDENTITY", "UNKILLABLE", "answer_of", "put", "words_in"]

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

from traced import run_until_call, why_untraceable

from toolkit import durable
from toolkit.durable import replaced_folder, settle_folder
from toolkit.errors import UsageError
from toolkit.prediction.sinks.target import FileTarget, Progress
from toolkit.runs.redo_log import save_pair

IDENTITY = {"model": "abc", "inputs": ["a.npy"]}
MOST_STOPS = 2000
UNKILLABLE = why_untraceable()


def answer_of(*arguments: str | Path | bool) -> Any:
    """Run this program to its end and return its answer; what it asserts must hold."""
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def stops(action: Callable[[], None]) -> Iterator[int]:
    """Kill an action before each of its system calls; what is there after one is there before the next.

    Whoever takes the numbers puts the start back after each; the last one's action ended.
    """
    for number in range(1, MOST_STOPS, 2):
        ended = run_until_call(action, number=number)
        yield number
        if ended:
            return
    raise AssertionError(f"it did not end within {MOST_STOPS} stops")


def finish_rows(path: Path, *, turns: bool, resume: bool = False, force: bool = False) -> None:
    """Write two rows and give the file its name, as a prediction does: as it is, or as what is made of it."""
    with FileTarget(path, IDENTITY, resume=resume, force=force) as target:
        if not target.progress.rows:
            target.stream.write(b"row\n" * 2)
            target.advance(Progress(rows=2, last=("a.npy", 1)))
        assert target.progress.rows == 2

        def turn(whole: BinaryIO) -> None:
            target.stream.seek(0)
            whole.write(b"made of " + target.stream.read())

        target.finish(turn if turns else None)


def how_it_goes_on(path: Path, *, turns: bool, force: bool) -> str:
    """Resume it; where there is nothing to resume begin anew, as the message asks."""
    try:
        finish_rows(path, turns=turns, resume=True, force=force)
    except UsageError as error:
        finish_rows(path, turns=turns, force=True)
        return "whole" if "is whole; there is nothing to resume" in str(error) else "not begun"
    return "gone on with"


def kill_output(path: Path, *, turns: bool, old: bytes | None) -> list[str]:
    """Kill a prediction's output at every call, over an old file or none; return how it went on."""
    expected = (b"made of " if turns else b"") + b"row\nrow\n"

    def start() -> None:
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        if old is not None:
            path.write_bytes(old)

    start()
    ends = set()
    for number in stops(lambda: finish_rows(path, turns=turns, force=old is not None)):
        left = path.read_bytes() if path.exists() else None
        assert left in {old, expected}, f"killed at stop {number}"
        end = how_it_goes_on(path, turns=turns, force=old is not None and left == old)
        assert (end == "whole") == (left == expected and end != "gone on with"), f"killed at stop {number}"
        ends.add(end)
        assert path.read_bytes() == expected
        assert [entry.name for entry in path.parent.iterdir()] == ["rows"], f"killed at stop {number}"
        start()
    return sorted(ends)


def put(folder: Path, word: str) -> None:
    """Make a folder anew: a file that is named after a word, one that holds it."""
    with replaced_folder(folder) as made:
        (made / "sub").mkdir()
        (made / "sub" / word).write_bytes(word.encode())
        (made / "whole").write_bytes(word.encode())


def words_in(folder: Path) -> set[str]:
    """Return the words of which a folder was made: one, where it is whole."""
    return {path.name for path in (folder / "sub").iterdir()} | {(folder / "whole").read_text()}


def kill_folder(folder: Path, *, exchanges: bool) -> list[str]:
    """Kill the replacing of a folder at every call; return whose words were found in it."""

    def start() -> None:
        shutil.rmtree(folder.parent, ignore_errors=True)
        put(folder, "old")

    seen = set()
    with mock.patch.object(durable, "_exchange", durable._exchange if exchanges else lambda *_: False):
        start()
        for number in stops(lambda: put(folder, "new")):
            if exchanges:
                assert folder.exists(), f"killed at stop {number}"
            settle_folder(folder)
            (word,) = words_in(folder)
            seen.add(word)
            put(folder, "third")
            assert words_in(folder) == {"third"}
            assert [entry.name for entry in folder.parent.iterdir()] == ["kit"], f"killed at stop {number}"
            start()
    return sorted(seen)


def kill_save(path: Path, *, made: Path, left: Path) -> int:
    """Kill a checkpoint's save at every call; leave what lay in its folder after each and return how many they are.

    Args:
        path: of a checkpoint; its folder is where every save starts.
        made: the checkpoint to save, as it lies elsewhere.
        left: the folder for the folders that were left, named by their numbers.
    """
    data, description = made.read_bytes(), json.loads(made.with_suffix(".json").read_text())
    start, count = left / "start", 0
    shutil.copytree(path.parent, start)
    for _ in stops(lambda: save_pair(path, data, description=description)):
        shutil.move(path.parent, left / str(count))
        shutil.copytree(start, path.parent)
        count += 1
    return count


def main(kind: str, place: str, *arguments: str) -> Any:
    """Do what the command line asks for and return the answer."""
    path = Path(place)
    if kind == "output":
        turns, old = arguments
        return kill_output(path, turns=turns == "True", old=old.encode() or None)
    if kind == "folder":
        return kill_folder(path, exchanges=arguments[0] == "True")
    return kill_save(path, made=Path(arguments[0]), left=Path(arguments[1]))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
