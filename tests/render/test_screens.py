"""What commands print of fixed reports, frozen at three widths. Update with TOOLKIT_UPDATE_GOLDEN=1."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from screen_reports import SCREENS

from toolkit.cli import output
from toolkit.cli.output import Output

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (80, 100, 120)
NUMBER = re.compile(r"\d[\d,.]*(?:e-?\d+)?")


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def screen(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a terminal of this width is written, without colours."""
    terminal = _Terminal()
    for variable, value in {"COLUMNS": str(width), "LINES": "50", "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(output.sys, "stdout", terminal)
    Output().show(*SCREENS[name]())
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert "\x1b" not in text
    return text.splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SCREENS)
def test_screen_is_as_frozen(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"{line.rstrip()}\n" for line in screen(name, width, monkeypatch))
    path = GOLDEN / f"{name}-{width}.txt"
    if os.environ.get("TOOLKIT_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), "the screen changed; look at it, then run with TOOLKIT_UPDATE_GOLDEN=1"


@pytest.mark.parametrize("width", [40, *WIDTHS])
@pytest.mark.parametrize("name", SCREENS)
def test_no_figure_is_cut_and_only_what_is_one_word_is_longer_than_a_line(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, wide = screen(name, width, monkeypatch), screen(name, 500, monkeypatch)
    assert "…" not in "".join(lines)
    assert {*NUMBER.findall(" ".join(lines))} >= {*NUMBER.findall(" ".join(wide))}
    if width >= min(WIDTHS):
        # A path or a command is left to the terminal, which parts it without a line's end, so that it can be copied.
        longer = [line for line in lines if cell_len(line.rstrip()) > width]
        kept = ("/", "pip install", "    toolkit ")
        assert all(any(part in line for part in kept) for line in longer), longer
