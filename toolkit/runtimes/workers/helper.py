"""A module of this package in a process of its own: how it is started, waited for and ended, and how it died."""

from __future__ import annotations

__all__ = ["Helper"]

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, cast

from numpy.typing import NDArray

from toolkit.closing import Closing
from toolkit.errors import HelperStartError, WorkerError
from toolkit.programs import describe_exit
from toolkit.runtimes.installed import PRIVATE_FOLDER_VARIABLE, private_root
from toolkit.runtimes.workers.frames import Frame, read_frame, write_frame
from toolkit.runtimes.workers.helper_start import READY, SIGN
from toolkit.runtimes.workers.watchdog import Watchdog

# An interpreter's own start, before it imports anything: tens of milliseconds, some hundred beside busy processes.
SIGN_S = 5.0
# Its imports, from a cold disk on a busy machine.
READY_S = 120.0
LOG_TAIL_BYTES = 4000
# Variables that name a file, of ours and of TLS.
FILE_VARIABLES = {"TOOLKIT_TOKEN_FILE", "SSL_CERT_FILE"}


class Helper(Closing):
    """A process that runs a module and answers on its standard output; it ends with this process, whatever ends that.

    Args:
        module: dotted name; it writes `READY` once it has imported what it needs.
        title: what it is, for messages: `a worker`.
        python: its interpreter; this one by default.
        is_private: whether the interpreter is an engine's own, which gets nothing of this one's packages.
        cwd: its working folder; this process's by default.

    Raises:
        HelperStartError: the system does not start it.
    """

    def __init__(
        self, module: str, *, title: str, python: str | None = None, is_private: bool = False, cwd: str | None = None
    ) -> None:
        self._title, self._python = title, python or sys.executable
        self._lock = threading.Lock()
        self._watchdog = Watchdog(self._expire)
        self._expired_s: float | None = None
        self._is_ready = self._is_over = False
        try:
            self.process = self._start(module, cwd=cwd, environment=_environment(is_private=is_private))
        except OSError as error:
            raise HelperStartError(f"cannot start {title} with {self._python}: {error.strerror or error}") from error
        self.requests, self.replies = cast("BinaryIO", self.process.stdin), cast("BinaryIO", self.process.stdout)

    def _start(self, module: str, *, cwd: str | None, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with contextlib.ExitStack() as undo:
            self._log = undo.enter_context(tempfile.TemporaryFile())  # lives as long as the process; close() ends it
            # Our end closes in whatever way this process ends; the helper asks for a signal when it does.
            theirs, self._death_pipe = os.pipe()
            undo.callback(os.close, self._death_pipe)
            try:
                process = subprocess.Popen(
                    [self._python, "-P", str(Path(__file__).with_name("helper_start.py")), module, str(theirs)],
                    cwd=cwd,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._log,
                    # A group of its own: what it starts is ended with it; a terminal's Ctrl-C is its parent's matter.
                    start_new_session=True,
                    pass_fds=(theirs,) if sys.platform == "linux" else (),
                )
            finally:
                os.close(theirs)
            undo.pop_all()
            return process

    def await_ready(self) -> None:
        """Wait until it has started; a second call does nothing.

        Raises:
            HelperStartError: it died, gave no sign of life within 5 s, or did not become ready.
        """
        if self._is_ready:
            return
        for word, seconds in ((SIGN, SIGN_S), (READY, READY_S)):
            with self.limit(seconds):
                said = self.replies.read(len(word))
            if said != word:
                self.kill()
                reason = f"it said {said!r}" if said else self._explain_start()
                raise HelperStartError(f"{self._title} cannot start: {reason}", log=self.log)
        self._is_ready = True

    def ask(
        self, header: dict[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None, *, seconds: float, words: str
    ) -> Frame:
        """Send a frame and return the answer.

        Args:
            header: of the frame.
            arrays: of the frame.
            seconds: most time for the answer.
            words: the message where it ends instead of answering; `{end}` stands for how.

        Raises:
            HelperStartError: it did not start.
            WorkerError: it died or hung, with its log.
        """
        self.await_ready()
        frame = None
        with self.limit(seconds), contextlib.suppress(OSError, EOFError, ValueError):
            write_frame(self.requests, header, arrays=arrays)
            frame = read_frame(self.replies)
        if frame is None:
            raise WorkerError(words.format(end=self.describe_end()), log=self.log)
        return frame

    def limit(self, seconds: float) -> AbstractContextManager[None]:
        """Inside, wait for it no longer than this: it is killed then, so that its streams end."""
        return self._watchdog.limit(seconds)

    def _expire(self, seconds: float) -> None:
        with self._lock:
            self._expired_s = seconds
            self.kill()

    def describe_end(self) -> str:
        """Wait for its end, which is near or made so, and return how it came: `crashed with SIGSEGV`."""
        code = self._end(patience_s=5)
        if self._expired_s is not None:
            return f"hung for {self._expired_s:g} s and was ended"
        return describe_exit(code) if code < 0 else f"{describe_exit(code)} without an answer"

    @property
    def log(self) -> str:
        """The last lines that it wrote on its standard error; empty once it is closed."""
        with self._lock:  # one thread may close it while another reads
            if self._log.closed:
                return ""
            size = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, size - LOG_TAIL_BYTES))
            return self._log.read().decode(errors="replace").strip()

    def kill(self) -> None:
        """End it and what it started, now."""
        if self._is_over:  # its number may be another's by now
            return
        if sys.platform == "win32":
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # it is gone; macOS says the second
                os.killpg(self.process.pid, signal.SIGKILL)

    def close(self, *, patience_s: float = 0) -> None:
        """Close its input, and kill it where it does not leave by itself; a second call does nothing."""
        with contextlib.suppress(OSError):  # what nobody has read is written once more
            self.requests.close()
        self._end(patience_s=patience_s)
        self.replies.close()
        with self._lock:
            self._log.close()

    def _end(self, *, patience_s: float) -> int:
        if not self._is_over:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=patience_s)
            self.kill()
            self.process.wait()
            with self._lock:  # one thread may close it while another finds out how it ended
                if not self._is_over:
                    self._is_over = True
                    os.close(self._death_pipe)
            self._watchdog.close()
        return self.process.wait()

    def _explain_start(self) -> str:
        if self._expired_s == SIGN_S:
            return f"no sign of life within {SIGN_S:g} s; see what this does: {self._python} -c pass"
        how, words = self.describe_end(), self.log.splitlines()[-1:]
        return ": ".join((f"it {how}", *words))


def _environment(*, is_private: bool) -> dict[str, str]:
    # A Python that an engine starts would else look for its modules in the working folder, which is anybody's.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    if PRIVATE_FOLDER_VARIABLE in environment:
        environment[PRIVATE_FOLDER_VARIABLE] = str(private_root())
    for name in FILE_VARIABLES & environment.keys():
        environment[name] = str(Path(environment[name]).absolute())  # it may work in another folder
    if is_private:
        for name in ("PYTHONPATH", "PYTHONHOME"):
            environment.pop(name, None)
    return environment
