"""A command in a pseudo-terminal, and what stands on its screen: as much of a terminal as bars and words need."""

from __future__ import annotations

__all__ = ["Watched", "watch"]

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PARTS = re.compile(r"\x1b\[(\?25[lh]|[\d;]*m|\d*[ACJK])|(\r)|(\n)|([^\x1b\r\n]+)")


@dataclass(slots=True)
class Watched:
    """What a terminal showed.

    Attributes:
        columns: its width.
        lines: of the screen, with all that went off its top.
        seen: every state that a line was in.
        code: the command's exit code.
        raw: all that it wrote.
    """

    columns: int
    lines: list[str] = field(default_factory=lambda: [""])
    seen: list[str] = field(default_factory=list)
    code: int = -1
    raw: str = ""
    _row: int = 0
    _column: int = 0

    @property
    def screen(self) -> list[str]:
        """The lines that are left, without blanks at their ends and empty ones at the end."""
        lines = [line.rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def feed(self, text: str) -> None:
        """Do what a terminal does with text.

        Raises:
            AssertionError: a command of the terminal that this one does not know.
        """
        self.raw += text
        place = 0
        for found in PARTS.finditer(text):
            assert found.start() == place, text[place : found.start()]
            place = found.end()
            command, is_return, is_end, words = found.groups()
            if command and command.endswith("A"):
                self._row = max(0, self._row - int(command[:-1] or 1))
            elif command and command.endswith("C"):
                self._column = min(self.columns - 1, self._column + int(command[:-1] or 1))
            elif command and command.endswith("K"):
                self.lines[self._row] = ""
            elif command == "J":
                self.lines[self._row :] = [self.lines[self._row][: self._column]]
            elif is_return:
                self._column = 0
            elif is_end:
                self._go_down()
            elif words:
                self._write(words)
        assert place == len(text), text[place:]

    def narrow(self, columns: int) -> None:
        """Fold what is wider, as a terminal does that is made narrower; the cursor stays at its letter."""
        self.columns, lines = columns, self.lines
        self.lines = []
        for number, line in enumerate(lines):
            parts = [line[start : start + columns] for start in range(0, max(len(line), 1), columns)]
            if number == self._row:
                row = len(self.lines) + min(self._column // columns, len(parts) - 1)
                column = self._column - columns * (row - len(self.lines))
            self.lines += parts
        self._row, self._column = row, column

    def _go_down(self) -> None:
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append("")

    def _write(self, words: str) -> None:
        for letter in words:
            if self._column == self.columns:
                self._column = 0
                self._go_down()
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + letter + line[self._column + 1 :]
            self._column += 1
        self.seen.append(self.lines[self._row])


def watch(*command: str | Path, columns: int, environment: Mapping[str, str], cwd: Path, typed: str = "") -> Watched:
    """Run a command in a terminal of so many columns, where somebody types, and watch it to its end."""
    watched = Watched(columns)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen(
        [*map(str, command)], stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment), cwd=cwd
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        rest = ""
        for data in _read(ours):
            # A terminal's command may come in two pieces.
            text, rest = _split(rest + data)
            watched.feed(text)
        watched.feed(rest)
    os.close(ours)
    watched.code = process.returncode
    return watched


def _read(descriptor: int) -> Iterator[str]:
    waiting = b""
    with contextlib.suppress(OSError):  # Linux says so where the other end is closed
        while data := os.read(descriptor, 65536):
            text = (waiting + data).decode(errors="ignore")
            waiting = b"" if (waiting + data) == text.encode() else (waiting + data)[len(text.encode()) :]
            yield text


def _split(text: str) -> tuple[str, str]:
    escape = text.rfind("\x1b")
    is_whole = escape < 0 or re.match(r"\x1b\[\??[\d;]*[A-Za-z]", text[escape:])
    return (text, "") if is_whole else (text[:escape], text[escape:])
