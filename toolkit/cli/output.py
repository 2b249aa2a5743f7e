"""Where a command's words go: reports to stdout, everything else to stderr."""

from __future__ import annotations

__all__ = [
    "Output",
    "ProgressBar",
    "complain",
    "draw_picture",
    "fill_in",
    "forget_filled_in",
    "is_helper",
    "note",
    "repeat_command",
    "tell_origin",
    "warn",
]

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from toolkit.errors import ToolkitError, escape_controls, first_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress


def is_helper() -> bool:
    """Whether torchrun started this process beside a first one, which speaks for all of them."""
    return os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0"


def note(message: str) -> None:
    """Write one line to stderr, where it cannot spoil a report; a helper is silent."""
    if not is_helper():
        complain(escape_controls(message, kept="\t"))


def warn(messages: Iterable[str]) -> None:
    """Write each message to stderr as a warning, a line each; a helper is silent."""
    for message in messages:
        note(f"warning: {message}")


def draw_picture(path: Path, draw: Callable[[], bytes]) -> bool:
    """Write a picture of figures that are written already, and say whether it is there.

    Where it cannot be drawn that is a warning, because nothing else is lost; an earlier picture of this name goes,
    because it would contradict the figures.

    Args:
        path: where it goes.
        draw: returns the file's bytes.

    Raises:
        ResourceError: it cannot be written.
    """
    from toolkit.durable import write_atomic

    try:
        picture = draw()
    except ToolkitError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a drawing library or its lack of memory raises
        path.unlink(missing_ok=True)
        reason = first_line(error) or type(error).__name__
        warn([f"there is no picture {path}: it cannot be drawn ({reason}); all figures are written"])
        return False
    write_atomic(path, picture)
    return True


def complain(message: str) -> None:
    """Write one line to stderr, from a helper too."""
    print(escape_controls(message, kept="\n\t"), file=sys.stderr, flush=True)  # noqa: T201 - this is the place where text leaves


# What was chosen where nothing was typed, as it would have been typed; of one command, so of one process.
_filled_in: list[str] = []


def fill_in(*words: str) -> None:
    """Note what was chosen for the user (a model, a run, `--data NAME`), so that a report's command names it."""
    _filled_in.extend(words)


def forget_filled_in() -> None:
    """Begin another command in the same process."""
    _filled_in.clear()


def repeat_command() -> str:
    """Return the command that repeats this one, quoted for a shell: the words typed, and what was filled in."""
    words = sys.argv[1:]
    # Behind the verb: what is filled in may be an option, and the words typed may hold a `--`.
    place = next((number for number, word in enumerate(words, start=1) if not word.startswith("-")), 0)
    return shlex.join(["toolkit", *words[:place], *_filled_in, *words[place:]])


def tell_origin(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report with what every report records: the command that repeats it, and the environment."""
    from toolkit.environment import describe_environment

    return {**report, "command": repeat_command(), "environment": describe_environment()}


class Output:
    """Text for people, or one JSON report for programs.

    With `as_json` the report is the only thing on stdout and human text goes to stderr.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json

    def show(self, *renderables: RenderableType) -> None:
        """Print human text: to stdout, or to stderr when stdout is kept for JSON."""
        stream = sys.stderr if self._as_json else sys.stdout
        console: Console | None = None
        for renderable in renderables:
            if isinstance(renderable, str) and not stream.isatty():
                # As the console would, which takes 40 ms to import.
                stream.write(escape_controls(f"{renderable}\n", kept="\n"))
            else:
                console = console or _console(stream)
                console.print(renderable, highlight=False)

    def quiet(self) -> Output:
        """Return an output for a step of a larger command: its report does not go to stdout as JSON."""
        return _StepOutput(as_json=self._as_json)

    def report(self, report: Mapping[str, Any], *renderables: RenderableType) -> None:
        """Print a report: as JSON on stdout when asked for, and the human form.

        What every report records is added where it is missing: the command that repeats it, and the environment.
        """
        if self._as_json:
            whole = report if "environment" in report else tell_origin(report)
            sys.stdout.write(json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()
        self.show(*renderables)

    @contextmanager
    def progress(self, label: str, *, unit: str = "") -> Iterator[ProgressBar]:
        """Show a progress bar with rate and time left on stderr; it prints nothing where stderr is not a terminal."""
        if is_helper() or not sys.stderr.isatty():
            yield ProgressBar(label)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=_console(sys.stderr), transient=True) as bar:
            yield ProgressBar(label, bar)


class ProgressBar:
    """A bar that library code drives through a plain callable `(done, total)`."""

    def __init__(self, label: str, bar: Progress | None = None) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task(label, total=None, rate="")
        self._start = time.monotonic()

    @property
    def is_shown(self) -> bool:
        """Whether anybody sees it."""
        return self._bar is not None

    def __call__(self, done: int, total: int | None) -> None:
        """Move the bar to `done` of `total`; None where the total is unknown."""
        if self._bar is None or self._task is None:
            return
        elapsed = time.monotonic() - self._start
        rate = f"{done / elapsed:,.0f}/s" if elapsed > 0 else ""
        self._bar.update(self._task, completed=done, total=total, rate=rate)

    def print(self, lines: Iterable[str]) -> None:
        """Print lines above the bar, to stderr."""
        for line in lines:
            if self._bar is None:
                sys.stderr.write(escape_controls(f"{line}\n", kept="\n"))
            else:
                self._bar.console.print(line, highlight=False, markup=False)


def _console(stream: TextIO) -> Console:
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        """Styles are the console's own; what a text holds of control characters is told, not sent."""

        def render(self, *arguments: Any, **options: Any) -> Iterator[Segment]:
            for text, style, control in super().render(*arguments, **options):
                yield Segment(text if control else escape_controls(text, kept="\n"), style, control)

    # A pipe or a file has no width: tables must not be folded at 80 columns there.
    return PlainConsole(
        file=stream,
        width=None if stream.isatty() else 160,
        soft_wrap=not stream.isatty(),
        markup=False,  # paths and class names may hold square brackets
    )


class _StepOutput(Output):
    def report(self, report: Mapping[str, Any], *renderables: RenderableType) -> None:
        del report  # the larger command prints one report of its own
        self.show(*renderables)
