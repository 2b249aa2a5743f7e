"""Commands as a user types them, run in the test's own process: no start to wait for, the same streams and exit codes."""

from __future__ import annotations

__all__ = ["run_here"]

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from unittest import mock

from toolkit.cli.app import app
from toolkit.cli.boundary import run_guarded


def run_here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as `main` does and return its exit code and what it wrote."""
    words = [str(argument) for argument in arguments]
    out, err = io.StringIO(), io.StringIO()
    typed = mock.patch.object(sys, "argv", ["toolkit", *words])  # reports name the words that were typed
    with typed, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_guarded(lambda: app(args=words, prog_name="toolkit"), debug=False)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
