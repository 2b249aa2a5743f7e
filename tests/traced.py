"""A child process that is killed at a chosen system call: ptrace by ctypes, Linux only."""

from __future__ import annotations

__all__ = ["run_until_call", "why_untraceable"]

import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable

PTRACE_TRACEME = 0
PTRACE_SYSCALL = 24


def why_untraceable() -> str | None:
    """Return why no child can be traced here; None where it can."""
    if not sys.platform.startswith("linux"):
        return f"ptrace as on Linux is not to be had on {sys.platform}"
    try:
        run_until_call(lambda: None, number=1)
    except OSError as error:
        return f"ptrace is refused here: {error}"
    return None


def run_until_call(action: Callable[[], None], *, number: int) -> bool:
    """Run `action` in a forked child and kill it at its n-th stop; return whether it ended before.

    A child stops as it enters a system call and again as it leaves: odd stops are just before a call takes effect,
    even ones just after.

    Args:
        action: must use no other thread.
        number: the stop, counted from 1.

    Raises:
        OSError: the system does not let children be traced.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with warnings.catch_warnings():
        # Python warns of forking beside threads; the child uses none, and what it does needs no lock of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _be_traced(libc, action)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        raise OSError(os.WEXITSTATUS(status), os.strerror(os.WEXITSTATUS(status)))
    stops = 0
    while True:
        if stops == number:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        libc.ptrace(PTRACE_SYSCALL, child, None, None)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "the action failed in the child"
            return True
        assert os.WIFSTOPPED(status), f"the child died of signal {os.WTERMSIG(status)}"
        stops += 1


def _be_traced(libc: ctypes.CDLL, action: Callable[[], None]) -> None:
    code = 1
    try:
        if libc.ptrace(PTRACE_TRACEME, 0, None, None) != 0:
            os._exit(ctypes.get_errno() or 1)
        os.kill(os.getpid(), signal.SIGSTOP)
        action()
        code = 0
    finally:
        os._exit(code)
