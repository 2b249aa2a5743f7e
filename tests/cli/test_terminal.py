"""Words and bars in a real terminal: apart from one another, no figure cut, and words are what is left."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from terminal import Watched, watch

from toolkit.cli.foot import _is_plain_locale, make_foot

BAR = re.compile("[━╸╺⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")
ROOT = Path(__file__).parents[2]
LIVE = """
import sys, time, warnings
from toolkit.cli.output import Output, note
output = Output(as_json="--json" in sys.argv)
with output.progress("whole", unit="parts") as whole:
    for part in range(2):
        whole(part, 2)
        with output.progress("training", unit="steps") as bar:
            for step in range(30):
                bar(part * 30 + step + 1, 60)
                time.sleep(0.01)
            output.show(f"epoch {part + 1}/2  loss 0.1234")
            note(f"warning: a note of part {part}")
        with output.progress("computing the reference"):
            time.sleep(0.2)
            sys.stderr.write("a library's own words\\n")
output.report({"schema": "x", "environment": {}}, "it is done")
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    python_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    own = {"PYTHONPATH": python_path, "TERM": "xterm", "TOOLKIT_ARTIFACTS": str(tmp_path / "artifacts")}
    return {**kept, **own, "LANG": "C.UTF-8"}


def require_apart(watched: Watched, *words: str) -> None:
    """Hold that these words never shared a line with a bar, and that no bar is left."""
    assert any(BAR.search(line) for line in watched.seen), "no bar was shown"
    for line in watched.seen:
        assert not (BAR.search(line) and any(word in line for word in words)), line
    assert not BAR.search("".join(watched.screen)), watched.screen
    assert "…" not in watched.raw
    for word in words:
        assert word in "\n".join(watched.screen)


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_words_stand_above_one_live_row_and_are_what_is_left(
    columns: int, environment: dict[str, str], tmp_path: Path
) -> None:
    watched = watch(sys.executable, "-c", LIVE, columns=columns, environment=environment, cwd=tmp_path)
    require_apart(watched, "epoch", "warning", "a library's own words", "it is done")
    assert watched.screen == [
        *("epoch 1/2  loss 0.1234", "warning: a note of part 0", "a library's own words"),
        *("epoch 2/2  loss 0.1234", "warning: a note of part 1", "a library's own words", "it is done"),
    ]
    assert any("computing the reference" in line for line in watched.seen)
    shown = [line for line in watched.seen if "training" in line and "/60 steps" in line]
    rates = [float(found[1]) for line in shown if (found := re.search(r" (\d+)/s ", line))]
    assert all(20 <= rate <= 101 for rate in rates), rates
    assert "\x1b[?25h" in watched.raw[watched.raw.rfind("\x1b[?25l") :], "the cursor was not given back"


@pytest.mark.parametrize(
    "change",
    [
        {"NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    ],
)
def test_a_terminal_that_asks_for_less_gets_less(
    change: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    watched = watch(sys.executable, "-c", LIVE, columns=80, environment={**environment, **change}, cwd=tmp_path)
    assert watched.code == 0
    assert watched.screen[-1] == "it is done"
    if "NO_COLOR" in change:
        assert not re.search(r"\x1b\[[\d;]*3\dm", watched.raw)
    if "TERM" in change:
        assert "\x1b" not in watched.raw
    if "LC_ALL" in change:
        assert watched.raw.isascii()
        assert any("#." in line for line in watched.seen)
        assert "?" not in watched.raw.replace("\x1b[?25", "")


def test_a_pipe_gets_lines_and_nothing_else(environment: dict[str, str], tmp_path: Path) -> None:
    for words in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-c", LIVE, *words], capture_output=True, check=True, env=environment, cwd=tmp_path
        )
        lines = b"epoch 1/2  loss 0.1234\nepoch 2/2  loss 0.1234\nit is done\n"
        notes = [b"warning: a note of part %d\na library's own words\n" % part for part in (0, 1)]
        if words:
            assert done.stdout.startswith(b'{\n  "schema": "x"')
            assert sorted(done.stderr.splitlines()) == sorted(b"".join([lines, *notes]).splitlines())
        else:
            assert (done.stdout, done.stderr) == (lines, b"".join(notes))


def test_words_to_a_file_stay_out_of_the_terminal_that_has_the_bar(environment: dict[str, str], tmp_path: Path) -> None:
    line = f"{sys.executable} -c '{LIVE.replace(chr(39), '')}' > words.txt"
    watched = watch("bash", "-c", line, columns=80, environment=environment, cwd=tmp_path)
    assert any("training" in state for state in watched.seen)
    assert not any("epoch" in state for state in watched.seen)
    assert (tmp_path / "words.txt").read_text().splitlines()[-1] == "it is done"


def test_a_window_that_is_made_narrower_keeps_no_row_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    written, watched = io.StringIO(), Watched(columns=90)
    console = Console(file=written, force_terminal=True, width=90, color_system=None)
    progress = make_foot(console, window_s=10.0, frames_per_s=0.01)
    rows = [progress.add_task(f"what is done, in so many words: {name}", total=9, unit="") for name in "ab"]
    progress.start()
    console.print("words")
    watched.feed(written.getvalue().replace("\n", "\r\n"))
    assert [line.split(" ")[0] for line in watched.screen] == ["words", "what", "what"]
    watched.narrow(50)
    console.width = 50
    written.seek(0)
    written.truncate()
    console.print("more words")
    watched.feed(written.getvalue().replace("\n", "\r\n"))
    assert watched.screen[:2] == ["words", "more words"]
    assert sum("what is done" in line for line in watched.screen) == 2
    for row in rows:
        progress.remove_task(row)
    written.seek(0)
    written.truncate()
    progress.stop()
    watched.feed(written.getvalue().replace("\n", "\r\n"))
    assert watched.screen == ["words", "more words"]


@pytest.mark.parametrize(
    ("variables", "is_plain"),
    [({"LC_ALL": "C"}, True), ({"LANG": "POSIX"}, True), ({"LC_ALL": "C.UTF-8", "LANG": "C"}, False), ({}, False)],
)
def test_a_c_locale_is_told_though_python_writes_utf_8_in_it(
    variables: dict[str, str], is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")  # as Python itself sets it
    for name in ("LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _is_plain_locale() == is_plain


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [(0, 1, "0/1 row"), (1, None, "1 row"), (1, 2, "1/2 rows"), (2, None, "2 rows"), (0.9, 2, "0/2 rows")],
)
def test_a_count_and_its_unit_agree(done: float, total: float | None, words: str) -> None:
    written = io.StringIO()
    console = Console(file=written, width=90)
    progress = make_foot(console, window_s=10.0, frames_per_s=0.01)
    progress.add_task("judging", total=total, completed=done, unit="rows")  # type: ignore[arg-type]  # Rich takes parts
    console.print(progress.get_renderable())
    assert f" {words} " in written.getvalue()


@pytest.mark.slow
def test_a_training_has_one_bar_over_all_epochs(environment: dict[str, str], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (400, 16, 16), np.uint8)
    labels = np.arange(400) % 4
    np.savez(tmp_path / "own.npz", x_train=pixels, y_train=labels, x_test=pixels[:40], y_test=labels[:40])
    sizes = ["conv1_channels=4", "conv2_channels=4", "hidden_units=16", "kernel_size=3"]
    settings = [word for size in (*sizes, "batch_size=20", "epochs=4") for word in ("--set", size)]
    command = [sys.executable, "-m", "toolkit", "train", "--data", "own.npz", *settings]
    watched = watch(*command, columns=80, environment=environment, cwd=tmp_path)
    assert watched.code == 0, watched.screen
    require_apart(watched, "epoch 1/4", "epoch 4/4", "test accuracy")
    steps = [
        (int(found[1]), int(found[2])) for line in watched.seen if (found := re.search(r"(\d+)/(\d+) steps", line))
    ]
    totals = {total for _, total in steps}
    assert len(totals) == 1, totals
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert all(len(line) <= 80 for line in watched.screen)


@pytest.mark.parametrize("piped", ["", " | cat"])
def test_predictions_that_go_to_the_terminal_are_not_drawn_over(
    piped: str, environment: dict[str, str], model_path: Path, tmp_path: Path
) -> None:
    for number in range(30):
        Image.fromarray(np.full((28, 28), number * 8, np.uint8)).save(tmp_path / f"{number:02}.png")
    command = shlex.join([sys.executable, "-m", "toolkit", "predict", str(model_path), ".", "--output", "-"])
    watched = watch("sh", "-c", command + piped, columns=200, environment=environment, cwd=tmp_path)
    assert "predicting" not in watched.raw
    rows = [line for line in watched.screen if re.match(r"(?:\./)?\d\d\.png,", line)]
    assert len(rows) == 30, watched.screen
