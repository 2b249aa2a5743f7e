"""The one place where errors, and words that make no command, become an exit code and a line on stderr."""

from __future__ import annotations

__all__ = ["explain_usage", "ignore_sigterm", "prepare_streams", "run_guarded", "split_debug"]

import io
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from toolkit.cli.output import complain, forget_filled_in, note
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

# Typer's words, and ours.
WORDS = (
    (r"No such option: (\S+)(?: .*)?", r"there is no option \1"),
    (r"No such command '(.*?)'\..*", r"there is no command \1"),
    (r"(?:Option )?'?(--?[\w-]+)'? (?:option )?requires (?:an|\d+) arguments?\.", r"\1 needs a value"),
    (r"(?:Option )?'?(--?[\w-]+)'? (?:option )?does not take a value\.", r"\1 takes no value"),
    (r"Missing argument '(.+?)'\.", r"the argument \1 is missing"),
    (r"Missing option '(.+?)'\.", r"\1 is missing"),
    (r"Invalid value for '(.+?)': (.*) is not a valid int(?:eger)?(?: range)?\.", r"\1 is \2; expected a whole number"),
    (r"Invalid value for '(.+?)': (.*) is not a valid (?:float|number)(?: range)?\.", r"\1 is \2; expected a number"),
    (r"Invalid value for '(.+?)': (.*) is not in the range (.*)\.", r"\1 is \2; expected \3"),
    (r"Invalid value for '(.+?)': (.*?)\.?", r"\1: \2"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", r"more was given than the command takes: \1"),
)
SUGGESTION = re.compile(r"Did you mean .*?\?|Possible options: .*?\)")

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
    # torch raises a ValueError, with all of sys.path, where one of NVIDIA's libraries lies in none of its packages.
    words, _, is_torchs = str(error).partition(" in the system path")
    is_import = isinstance(error, ImportError) and (error.name or "").split(".")[0] not in OWN_PACKAGES
    if is_import or (isinstance(error, ValueError) and is_torchs):
        from toolkit.nvidia import mend_import

        mend = mend_import(words) or "pip install onnx-parity-toolkit"
        return ResourceError(f"a package is missing or broken: {words}; mend it with: {mend}")
    kind = type(error).__name__
    return ToolkitError(f"this is a bug in toolkit: {kind}: {error}; run again with --debug and report it")


def explain_usage(error: Exception) -> UsageError | None:
    """Return an error of Typer's as one of ours, with what may have been meant and where help is.

    Returns:
        None where it is another kind of error, or is a help page as Typer raises it where nothing was typed.
    """
    # Typer has a private copy of Click's exceptions: they are told by what they offer.
    tell = getattr(error, "format_message", None)
    if tell is None or type(error).__name__ == "NoArgsIsHelpError":
        return None
    told = " ".join(tell().split())
    words = next((re.sub(found, ours, told) for found, ours in WORDS if re.fullmatch(found, told)), told)
    meant = SUGGESTION.search(told)
    # Of several the nearest to what was typed.
    near = get_close_matches(words.rpartition(" ")[2], re.findall(r"[\w-]+", meant[0])[2:], n=1) if meant else []
    did_you_mean = f"; did you mean {near[0]}?" if near else ""
    context = getattr(error, "ctx", None)
    verb = next((word for word in sys.argv[1:2] if not word.startswith("-")), "")
    command = f"toolkit {verb}".strip() if context is None else context.command_path
    return UsageError(f"{words}{did_you_mean}; for help: {command} --help")
