"""The one place where errors become an exit code and a line on stderr."""

from __future__ import annotations

__all__ = ["ignore_sigterm", "prepare_streams", "run_guarded", "split_debug"]

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from toolkit.cli.output import complain, forget_filled_in, note
from toolkit.cli.usage import explain_usage
from toolkit.errors import (
    CheckFailedError,
    DataError,
    ModelError,
    ProviderError,
    ResourceError,
    StoppedError,
    ToolkitError,
    UsageError,
)

# Processes that train together meet these all at once, and the first tells them for all.
MET_BY_ALL = (CheckFailedError, DataError, ModelError, ProviderError, StoppedError, UsageError)
INTERRUPTED = 130
OWN_PACKAGES = {"toolkit", "exporters"}


def split_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Take `--debug` out of the arguments wherever it stands before `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    head = [argument for argument in arguments[:end] if argument != "--debug"]
    return len(head) < end, head + arguments[end:]


def prepare_streams() -> None:
    """Make output safe wherever it goes: closed streams swallow it, names that an encoding lacks are escaped.

    SIGTERM becomes an ordinary exit (143), so that temporary files and workers are cleaned up on the way out.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave_on_sigterm)


def _leave_on_sigterm(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def ignore_sigterm() -> None:
    """Let this process, which is leaving, leave: a second SIGTERM would be a traceback out of some finalizer."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def run_guarded(call: Callable[[], object], *, debug: bool) -> int:
    """Run a command and return its exit code; tracebacks appear only with `debug`."""
    forget_filled_in()
    try:
        code = call()
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(bool(leave.code))
    except KeyboardInterrupt:
        note("interrupted")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary: nothing passes it but a line and a code
        if type(error).__name__ == "NoArgsIsHelpError":
            complain(str(error))
            return UsageError.exit_code
        known = explain_usage(error) or _as_known(error)
        if debug:
            traceback.print_exc()
            if known.log:
                complain(f"its process wrote:\n{known.log}")
        speak = note if isinstance(known, MET_BY_ALL) else complain
        speak(f"error: {' '.join(str(known).split())}")
        return known.exit_code
    if code == INTERRUPTED:
        note("interrupted")
    return code if isinstance(code, int) else 0


def _as_known(error: Exception) -> ToolkitError:
    """Return the error as one of ours; what nobody named is a bug and says so (exit code 70)."""
    if isinstance(error, ToolkitError):
        return error
    # torch reports a failed allocation as a RuntimeError.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error)):
        return ResourceError(f"out of memory: {error or 'an allocation failed'}; try smaller sizes")
    if isinstance(error, OSError):
        return ResourceError(f"{error.filename or 'the system'}: {error.strerror or error}")
    if isinstance(error, ImportError) and (error.name or "").split(".")[0] not in OWN_PACKAGES:
        return ResourceError(f"a package is missing or broken: {error}; mend it with: pip install onnx-parity-toolkit")
    kind = type(error).__name__
    return ToolkitError(f"this is a bug in toolkit: {kind}: {error}; run again with --debug and report it")
