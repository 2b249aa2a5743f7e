"""What one process holds, another does not get; a killed one holds nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from toolkit.errors import ResourceError
from toolkit.holding import claim, hold, is_claimed, release_claims

HOLDER = """
import sys
from pathlib import Path
from toolkit.holding import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
COUNTER = """
import sys
from pathlib import Path
from toolkit.holding import hold
path = Path(sys.argv[1])
for _ in range(50):
    with hold(path, wait_s=120):
        number = int(path.read_text()) if path.exists() else 0
        path.write_text(str(number + 1))
"""


def start(program: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_what_another_process_holds_is_refused_until_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "o.csv"
    with start(HOLDER, path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ResourceError, match=r"o\.csv is being written by another process"), hold(path):
            pass
        assert not claim(path)
        other.communicate("")
    with hold(path):
        assert claim(path.with_name("other.csv"))
        release_claims()
    assert list(tmp_path.iterdir()) == []  # the folder was made for it, and nothing lies there


def test_a_folder_in_which_something_lies_stays(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "o.csv"
    with hold(path):
        path.with_name("written").touch()
    assert [entry.name for entry in path.parent.iterdir()] == ["written"]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    with start(HOLDER, path) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.send_signal(signal.SIGKILL)
        other.wait()
        with hold(path):
            pass
    assert list(tmp_path.iterdir()) == []  # what the killed one had left is gone, too


def test_many_that_wait_come_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "count"
    others = [start(COUNTER, path) for _ in range(4)]
    for other in others:
        other.communicate()
        assert other.returncode == 0
    assert path.read_text() == "200"
    assert [entry.name for entry in tmp_path.iterdir()] == ["count"]


def test_a_second_thread_is_kept_out_and_a_claim_is_the_processes_own(tmp_path: Path) -> None:
    refused: list[ResourceError] = []

    def second() -> None:
        try:
            with hold(tmp_path / "o"):
                pass
        except ResourceError as error:
            refused.append(error)

    with hold(tmp_path / "o"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert (is_claimed(tmp_path / "o"), claim(tmp_path / "o"), is_claimed(tmp_path / "o")) == (False, True, True)
    assert claim(tmp_path / "o")
    with hold(tmp_path / "o"):  # by whoever claimed it
        pass
    release_claims()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_ends_leaves_no_lock_of_what_it_claimed(tmp_path: Path) -> None:
    program = "from pathlib import Path; from toolkit.holding import claim; assert claim(Path('a'))"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_resource_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot write"), hold(tmp_path / "file" / "o.csv"):
        pass


def test_a_name_of_the_longest_length_can_be_held(tmp_path: Path) -> None:
    with hold(tmp_path / ("x" * 255)), hold(tmp_path / ("x" * 254 + "y")):
        assert len(list(tmp_path.iterdir())) == 2
