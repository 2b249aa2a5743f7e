"""Other programs are run to their end, and what they say where they fail is told."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from toolkit.errors import ResourceError
from toolkit.programs import describe_exit, find_program, import_extra, run_program


def run(code: str, *, timeout_s: float | None = None) -> list[str]:
    return run_program([sys.executable, "-c", code], timeout_s=timeout_s)


def test_a_program_that_does_its_work_says_nothing() -> None:
    assert run("import sys; print('done'); sys.stderr.write('a warning')") == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; print('out'); sys.stderr.write('one\\ntwo\\n'); sys.exit(1)", ["one", "two"]),
        ("import sys; print('out'); sys.exit(1)", ["out"]),
        ("import sys; sys.exit(3)", ["it left with exit code 3"]),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", ["it crashed with SIGKILL"]),
        ("import os; os.write(2, b'caf\\xe9'); os._exit(1)", ["caf\N{REPLACEMENT CHARACTER}"]),
    ],
)
def test_a_program_that_fails_is_told_by_its_own_words_or_its_end(code: str, words: list[str]) -> None:
    assert run(code) == words


def test_a_program_that_hangs_is_ended() -> None:
    assert run("import time; time.sleep(600)", timeout_s=0.3) == ["it took over 0.3 s and was ended"]


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    (words,) = run_program([str(tmp_path / "none")])
    assert words.startswith("it cannot be started: No such file")


def test_a_program_gets_its_folder_and_its_variables(tmp_path: Path) -> None:
    code = "import os, pathlib; pathlib.Path('said').write_text(os.environ['WORD'])"
    run_program([sys.executable, "-c", code], folder=tmp_path, environment={**os.environ, "WORD": "hello"})
    assert (tmp_path / "said").read_text() == "hello"


def test_a_program_that_is_not_there_is_an_error_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="there is no `node` on the PATH; get it with: apt-get install nodejs"):
        find_program("node", "apt-get install nodejs")
    (tmp_path / "node").write_text("#!/bin/sh\n")
    (tmp_path / "node").chmod(0o755)
    assert find_program("node", "") == str(tmp_path / "node")


def test_an_end_is_told_by_its_signal_or_its_code() -> None:
    assert describe_exit(-signal.SIGSEGV) == "crashed with SIGSEGV"
    assert describe_exit(7) == "left with exit code 7"


def test_a_package_that_is_missing_names_the_extra_that_brings_it() -> None:
    mend = r"get it with: pip install 'onnx-parity-toolkit\[parquet\]'"
    with pytest.raises(ResourceError, match=rf"^Parquet cannot import no_such\.part \(No module.*\); {mend}$"):
        import_extra("no_such.part", extra="parquet", user="Parquet")
