"""Commands as a user types them, run in the test's own process: no start to wait for, the same streams and exit codes."""

from __future__ import annotations

__all__ = ["exit_code_of", "run_here"]

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from unittest import mock

from toolkit.cli.app import run_words
from toolkit.holding import release_claims


def exit_code_of(*arguments: str | Path, debug: bool = True) -> int:
    """Run a command as `main` does, on this process's own streams, and return its exit code.

    Args:
        arguments: after `toolkit`.
        debug: whether a failure's traceback is written too.
    """
    return run_words(list(map(str, arguments)), debug=debug)


def run_here(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as `main` does and return its exit code and what it wrote."""
    words = [str(argument) for argument in arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), errors="backslashreplace", write_through=True) for _ in range(2))
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(sys, "argv", ["toolkit", *words]))  # reports name what was typed
        stack.enter_context(mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.callback(release_claims)  # as a process's end does
        code = exit_code_of(*words, debug=False)
    said = []
    for stream in (out, err):
        stream.seek(0)
        said.append(stream.read())
    return subprocess.CompletedProcess(words, code, *said)
