"""The terminal while a command works: bars at its foot that say how far it is, and words above them."""

from __future__ import annotations

__all__ = ["ProgressBar", "is_helper", "make_console", "show_row", "write_words"]

import os
import re
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, TextIO

from toolkit.errors import escape_controls

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

# What lies longer ago says nothing of the rate of now.
WINDOW_S = 10.0
FRAMES_PER_S = 8
# What a pipe or a file is written for, which has no width: tables must not be folded at 80 columns there.
PIPE_COLUMNS = 160
# A remedy inside a sentence or alone on its line; and what stands for its blanks while the sentence is folded.
COMMAND = re.compile(
    r"(?:(?<=: )(?:\S*/)?(?:toolkit|pip|python|source|sudo|export)|^ *(?:\S*/)?(?:toolkit|pip)) [^;()]+"
)
GLUE = "\x00"


def is_helper() -> bool:
    """Whether torchrun started this process beside a first one, which speaks for all of them."""
    return os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0"


class _Foot:
    """What is live at the foot of this process' terminal; nothing, most of the time."""

    progress: Progress | None = None
    stream: TextIO | None = None

    @property
    def rows(self) -> int:
        return 0 if self.progress is None else len(self.progress.tasks)


_FOOT = _Foot()


class ProgressBar:
    """A row at the foot of the terminal that library code drives through a plain callable `(done, total)`."""

    def __init__(self, progress: Progress | None = None, row: TaskID | None = None) -> None:
        self._progress = progress
        self._row = row

    @property
    def is_shown(self) -> bool:
        """Whether anybody sees it."""
        return self._progress is not None

    def __call__(self, done: float, total: float | None) -> None:
        """Move the bar to `done` of `total`; None where the total is unknown, which is shown without a bar."""
        if self._progress is not None and self._row is not None:
            self._progress.update(self._row, completed=done, total=total)


@contextmanager
def show_row(label: str, *, unit: str = "") -> Iterator[ProgressBar]:
    """Show what is being done, with its rate of now and the time that is left by it, until the block ends.

    Rows inside one another stand under one another. Where stderr is no terminal there is nothing to be seen.
    """
    if is_helper() or not sys.stderr.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}:
        yield ProgressBar()
        return
    if _FOOT.progress is None:
        from toolkit.cli.foot import make_foot

        # Of its own, so that it stays the terminal's while descriptor 2 is turned to a converter's log.
        _FOOT.stream = _reopen(sys.stderr)
        _FOOT.progress = make_foot(make_console(_FOOT.stream), window_s=WINDOW_S, frames_per_s=FRAMES_PER_S)
        _FOOT.progress.start()
    progress = _FOOT.progress
    row = progress.add_task(label, total=None, unit=unit)
    try:
        yield ProgressBar(progress, row)
    finally:
        progress.remove_task(row)
        if _FOOT.rows == 0:
            _FOOT.progress = None
            progress.stop()
            if _FOOT.stream is not None:
                _FOOT.stream.close()


def write_words(text: str, stream: TextIO, *, is_folded: bool = False) -> None:
    """Write lines, above what is live where the stream is the terminal.

    Args:
        text: without the last line's end.
        stream: stdout or stderr.
        is_folded: whether lines go on at a word where the terminal ends; a path or a command is never parted.
    """
    if is_folded and stream.isatty():
        text = "\n".join(fold_words(line, get_terminal_size().columns) for line in text.split("\n"))
    if _FOOT.progress is not None and stream.isatty():
        from rich.text import Text

        _FOOT.progress.console.print(Text(text), soft_wrap=True, highlight=False)
    else:
        stream.write(f"{text}\n")
        stream.flush()


def fold_words(line: str, columns: int) -> str:
    """Return a line folded at words; what goes on stands under the line's beginning.

    No word is parted, and no command that a line ends with or holds in brackets: it can be copied as it is.
    """
    indent = line[: len(line) - len(line.lstrip(" "))]
    folded = textwrap.wrap(
        COMMAND.sub(lambda found: found[0].replace(" ", GLUE), line),
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    )
    return "\n".join(folded).replace(GLUE, " ")


def make_console(stream: TextIO) -> Console:
    """Return the console through which tables go to a stream: the live one, where the stream is its terminal."""
    if _FOOT.progress is not None and stream.isatty():
        return _FOOT.progress.console
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        """Styles are the console's own; what a text holds of control characters is told, not sent."""

        def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
            for text, style, control in super().render(*arguments, **options):
                yield Segment(text if control else escape_controls(text, kept="\n"), style, control)

    return PlainConsole(
        file=stream,
        width=None if stream.isatty() else PIPE_COLUMNS,
        soft_wrap=not stream.isatty(),
        markup=False,  # paths and class names may hold square brackets
    )


def _reopen(stream: TextIO) -> TextIO:
    return open(os.dup(stream.fileno()), "w", encoding=stream.encoding, errors="backslashreplace")  # noqa: PTH123 - until the process ends
