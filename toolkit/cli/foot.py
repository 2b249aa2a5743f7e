"""What a row at the foot of the terminal looks like: a bar, or a spinner where nobody knows how much there is."""

from __future__ import annotations

__all__ = ["make_foot"]

import os
from datetime import timedelta

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderResult
from rich.control import Control
from rich.live import Live
from rich.live_render import LiveRender
from rich.measure import Measurement
from rich.progress import Progress, ProgressColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.segment import ControlType, Segment
from rich.spinner import Spinner
from rich.table import Column
from rich.text import Text

LEAST_BAR, MOST_BAR = 6, 30
# What is counted in hundreds; of trials or rows a rate says less than the time that is left.
RATED = {"steps", "images", "items", "calls", "bytes"}
# Trials move by parts of one; rows and engines take times too different to tell from a few what is left.
FORESEEN = {*RATED, "trials"}
LEAST_RATE = 0.1


def make_foot(console: Console, *, window_s: float, frames_per_s: float) -> Progress:
    """Return rows that vanish when they end.

    Args:
        console: of the terminal.
        window_s: the last seconds, of which the rate is.
        frames_per_s: how often they are drawn.
    """
    is_ascii = not console.encoding.startswith("utf") or _is_plain_locale()
    words = TextColumn("{task.description}", markup=False)
    whole = (column(table_column=Column(no_wrap=True)) for column in (_Amount, _Rate, _Time))
    progress = Progress(
        words,
        _Gauge(is_ascii=is_ascii),
        *whole,
        console=console,
        speed_estimate_period=window_s,
    )
    progress.live = _Rows(
        console=console,
        transient=True,
        refresh_per_second=frames_per_s,
        redirect_stdout=False,  # words are written above it by name; a redirected stdout is a file's
        get_renderable=progress.get_renderable,
    )
    return progress


def _is_plain_locale() -> bool:
    """Tell whether the user asks for ASCII: in a C locale Python writes UTF-8 nevertheless, and says so in LC_CTYPE."""
    return (os.environ.get("LC_ALL") or os.environ.get("LANG")) in {"C", "POSIX"}


class _Rows(Live):
    """Rows that are erased from the first one's beginning, where the cursor waits while they stand.

    A terminal that is made narrower folds them, so that nobody could count the lines to go up from their end.
    """

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        processed = super().process_renderables(renderables)
        if len(processed) == len(renderables):  # no terminal
            return processed
        _, *words, rows = processed
        assert isinstance(rows, LiveRender)
        return [_erase_below(), *words, rows, _GoBack(rows)]


class _GoBack:
    """The way from the last row to the beginning of the first; how many there are is known when they are drawn."""

    def __init__(self, rows: LiveRender) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console, options
        up = self._rows.last_render_height - 1
        yield Control(ControlType.CARRIAGE_RETURN, *([(ControlType.CURSOR_UP, up)] if up > 0 else []))


def _erase_below() -> Control:
    """Return what Rich has no name for; from a second letter on, as tmux keeps what is erased from the very first."""
    control = Control()
    control.segment = Segment("\x1b[2K\x1b[1C\x1b[J\r", None, [(ControlType.ERASE_IN_LINE, 2)])
    return control


class _Bar(ProgressBar):
    """A bar that takes what room there is."""

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        del console
        return Measurement(LEAST_BAR, max(LEAST_BAR, min(MOST_BAR, options.max_width)))


class _AsciiBar(_Bar):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        done = min(options.max_width, int(options.max_width * self.completed / (self.total or 1.0)))
        yield Segment("#" * done + "." * (options.max_width - done))


class _Gauge(ProgressColumn):
    def __init__(self, *, is_ascii: bool) -> None:
        self._bar, self._spinner = (_AsciiBar, "line") if is_ascii else (_Bar, "dots")
        super().__init__()

    def render(self, task: Task) -> RenderableType:
        if task.total is not None:
            return self._bar(total=max(task.total, 1e-9), completed=task.completed)
        # Its frame follows from the time alone, so that a row needs no spinner of its own.
        spinner = Spinner(self._spinner)
        spinner.start_time = 0.0
        return spinner.render(task.get_time())


class _Amount(ProgressColumn):
    def render(self, task: Task) -> Text:
        if not task.completed and task.total is None:
            return Text()
        if task.fields["unit"] == "bytes":
            whole = "" if task.total is None else f"/{task.total / 1e6:,.1f}"
            return Text(f"{task.completed / 1e6:,.1f}{whole} MB")
        whole = "" if task.total is None else f"/{int(task.total):,}"
        count, unit = int(task.completed if task.total is None else task.total), task.fields["unit"]
        return Text(f"{int(task.completed):,}{whole} {unit.removesuffix('s') if count == 1 else unit}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.speed
        if speed is None or speed < LEAST_RATE or task.fields["unit"] not in RATED:
            return Text()
        if task.fields["unit"] == "bytes":
            return Text(f"{speed / 1e6:,.1f} MB/s")
        return Text(f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


class _Time(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is None or task.fields["unit"] not in FORESEEN:
            return Text(_clock(task.elapsed or 0.0))
        left = task.time_remaining
        return Text("" if left is None else f"{_clock(left)} left")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
