"""The exception tree: every failure that a user can meet, with its exit code.

ToolkitError                 70  a bug of ours, when raised as itself
├── CheckFailedError          1  a check ran and did not pass
├── UsageError                2  what was asked for makes no sense
├── DataError                 3  images, arrays or data sets that cannot be used
├── ModelError                4  a model file or checkpoint that cannot be used
│   ├── WrongAnswerError      4  an engine's answer that is not what the file declares
│   └── ExternalDataError     4  a model whose weights lie in files that nobody said to trust
├── ResourceError             5  files, memory, packages
│   ├── ProviderError         5  a provider that was asked for and is not active
│   └── WorkerError           5  a helper process died or hung
│       └── HelperStartError  5  one that could not start, which says nothing about what it was to work on
├── DownloadError             6  data that could not be fetched or does not match its hash
└── StoppedError        130/143  a signal ended the work, which is saved
"""

from __future__ import annotations

__all__ = [
    "CheckFailedError",
    "DataError",
    "DownloadError",
    "ExternalDataError",
    "HelperStartError",
    "ModelError",
    "ProviderError",
    "ResourceError",
    "StoppedError",
    "ToolkitError",
    "UsageError",
    "WorkerError",
    "WrongAnswerError",
    "error_from_json",
    "escape_controls",
    "failures_named",
    "first_line",
    "require_known",
    "suggest",
]

import difflib
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

PACKAGE = str(Path(__file__).parent)


class ToolkitError(Exception):
    """A failure with one line for the user: what failed, the value seen, the value expected, the next step.

    Attributes:
        log: the last lines of the helper process that it comes from, an engine's own words among them; may be empty.
    """

    exit_code: int = 70
    log: str = ""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows, which asks for it by this name: the caller's own lines, and the message.

        Of a bug of ours all of it.
        """
        import traceback

        if type(self) is ToolkitError:
            return "".join(traceback.format_exception(self)).splitlines()
        frames = traceback.extract_tb(self.__traceback__)
        own = takewhile(lambda frame: not frame.filename.startswith(PACKAGE), frames)
        theirs = [frame for frame in own if "IPython" not in Path(frame.filename).parts]
        files = [Path(frame.filename).name if Path(frame.filename).is_file() else "cell" for frame in theirs]
        lines = [f"{file}, line {frame.lineno}: {frame.line}" for file, frame in zip(files, theirs, strict=True)]
        return [*lines, f"{type(self).__name__}: {self}"]


class CheckFailedError(ToolkitError):
    """A check ran to its end and did not pass."""

    exit_code = 1


class UsageError(ToolkitError):
    """The request itself is wrong: an unknown name, a missing argument, an output that exists."""

    exit_code = 2


class DataError(ToolkitError):
    """Images, arrays or data sets that cannot be used."""

    exit_code = 3


class ModelError(ToolkitError):
    """A model file or a checkpoint that cannot be used."""

    exit_code = 4


class WrongAnswerError(ModelError):
    """An engine took a file and answered what the file does not declare: names, types or shapes."""


class ExternalDataError(ModelError):
    """Numbers of a model lie in other files, which are never opened unasked."""


class ResourceError(ToolkitError):
    """The machine lacks something: a package, memory, a file system that can be written."""

    exit_code = 5


class ProviderError(ResourceError):
    """A provider or device was asked for by name and is not active."""


class WorkerError(ResourceError):
    """A helper process died or hung past its time limit."""

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class HelperStartError(WorkerError):
    """A helper process could not start: nothing of what it was to work on has been looked at."""


class DownloadError(ToolkitError):
    """Data could not be fetched, or what was fetched does not match its recorded hash."""

    exit_code = 6


# What may cross a process boundary: every class above, which a message alone makes.
_BY_NAME: dict[str, type[ToolkitError]] = {
    name: item for name, item in vars().items() if isinstance(item, type) and issubclass(item, ToolkitError)
}


class StoppedError(ToolkitError):
    """A signal asked the work to end; what was done is saved.

    Args:
        message: what was saved and how to go on.
        signal: the signal's number; the exit code is 128 + it.
    """

    def __init__(self, message: str, *, signal: int) -> None:
        super().__init__(message)
        self.signal = signal
        self.exit_code = 128 + signal


def error_from_json(record: dict[str, str]) -> ToolkitError:
    """Rebuild an error that crossed a process boundary as `{"type", "message"}`; unknown types become ToolkitError."""
    return _BY_NAME.get(record.get("type", ""), ToolkitError)(record.get("message", "no message"))


def first_line(error: BaseException) -> str:
    """Return what an error of somebody else's says, without its further lines; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def escape_controls(text: str, *, kept: str = "") -> str:
    """Return text whose control characters are told as escapes: a file's names are no commands to a terminal.

    Args:
        text: of anybody.
        kept: control characters that stay.
    """
    return "".join(
        character if character in kept or unicodedata.category(character) != "Cc" else f"\\x{ord(character):02x}"
        for character in text
    )


@contextmanager
def failures_named(name: str, *, kind: str, mend: str = "") -> Iterator[None]:
    """Turn whatever a library's parser raises into one DataError: none of them names a closed set of exceptions.

    Args:
        name: what is read, for messages.
        kind: what it is read as.
        mend: what to do about it.
    """
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name} cannot be read as {kind}: {reason}{mend and f'; {mend}'}") from error


def require_known(word: str, known: Iterable[str], *, what: str, meant: str = "") -> None:
    """Refuse a word that is none of those known.

    Args:
        word: as the user gave it.
        known: every word that there is, in the order in which they are told.
        what: what the word names.
        meant: what others call by this word; the word itself by default.

    Raises:
        UsageError: it is none of them; the one nearest to what was meant is suggested.
    """
    words = tuple(known)
    if word not in words:
        raise UsageError(f"unknown {what} {word!r}{suggest(meant or word, words)}; known: {', '.join(words)}")


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the nearest known name, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
