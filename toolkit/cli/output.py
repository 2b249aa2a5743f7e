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
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli.remedies import as_pasted
from toolkit.cli.screen import ProgressBar, is_helper, make_console, show_row, write_words
from toolkit.errors import ToolkitError, escape_controls, first_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


# The commands below it are typed where it was.
ACTIVATION = re.compile(r" *source \S.*/activate\b")


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
    write_words(escape_controls(as_pasted(message), kept="\n\t"), sys.stderr, is_folded=True)


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
        is_active = False
        for renderable in renderables:
            if _is_words(renderable):
                words = str(renderable)
                is_active = is_active or bool(ACTIVATION.match(words))
                # As the console would, which takes 40 ms to import, and parts a path that is longer than a line.
                is_folded = not getattr(renderable, "no_wrap", False)
                words = words if is_active else as_pasted(words)
                write_words(escape_controls(words, kept="\n"), stream, is_folded=is_folded)
            else:
                console = console or make_console(stream)
                console.print(renderable, highlight=False, crop=False)

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

    def progress(self, label: str, *, unit: str = "") -> AbstractContextManager[ProgressBar]:
        """Show what is being done, and how far it is, at the foot of the terminal; as `toolkit.cli.screen.show_row`."""
        return show_row(label, unit=unit)


def _is_words(renderable: RenderableType) -> bool:
    """Tell whether it is text without styles."""
    return isinstance(renderable, str) or not (getattr(renderable, "spans", True) or getattr(renderable, "style", True))


class _StepOutput(Output):
    def report(self, report: Mapping[str, Any], *renderables: RenderableType) -> None:
        del report  # the larger command prints one report of its own
        self.show(*renderables)
