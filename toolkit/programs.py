"""Other programs and packages of the machine: found, run to their end, and what is said where they fail."""

from __future__ import annotations

__all__ = ["describe_exit", "find_program", "import_extra", "run_program"]

import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from toolkit.errors import ResourceError


def find_program(name: str, install: str) -> str:
    """Return the path of a program.

    Args:
        name: what it is called.
        install: the command that would bring it.

    Raises:
        ResourceError: it is not on the PATH.
    """
    found = shutil.which(name)
    if found is None:
        raise ResourceError(f"there is no `{name}` on the PATH; get it with: {install}")
    return found


def import_extra(module: str, *, extra: str, user: str) -> Any:
    """Return a module of a package that only an extra of ours brings; such packages are untyped here.

    Args:
        module: its name, with dots.
        extra: which of our extras.
        user: what needs it.

    Raises:
        ResourceError: the package is missing or broken.
    """
    try:
        return import_module(module)
    except ImportError as error:
        mend = f"pip install 'onnx-parity-toolkit[{extra}]'"
        raise ResourceError(f"{user} cannot import {module} ({error}); get it with: {mend}") from error


def run_program(
    command: list[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> list[str]:
    """Run a program to its end; return what it says where it fails, nothing where it does not.

    Args:
        command: the program and its arguments.
        folder: its working folder; this process's by default.
        environment: its variables; this process's by default.
        timeout_s: most seconds, after which it is ended; None: it may take its time.

    Returns:
        The lines of its standard error, else of its standard output, else how it ended; at least one where it failed.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return [f"it took over {timeout_s:g} s and was ended"]
    except OSError as error:
        return [f"it cannot be started: {error.strerror or error}"]
    if not done.returncode:
        return []
    return (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"it {describe_exit(done.returncode)}"]


def describe_exit(code: int) -> str:
    """Return how a process ended: `crashed with SIGSEGV`, `left with exit code 3`.

    Args:
        code: as `subprocess` tells it; below 0 for a signal.
    """
    return f"crashed with {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code}"
