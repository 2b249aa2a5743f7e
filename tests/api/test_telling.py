"""Reports in a few lines and as HTML, calls as text, arguments as programs give them, failures in their words."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.api.failures import in_callers_words, name_arguments
from toolkit.api.feeds import read_feeds
from toolkit.api.listener import Listener
from toolkit.api.train import train
from toolkit.api.words import split_names, split_numbers, split_size, write_call
from toolkit.errors import ExternalDataError, StoppedError, UsageError
from toolkit.telling.summary import MOST_ROWS, Summarised, Summary


class Told(Summarised):
    def __init__(self, summary: Summary) -> None:
        self._summary = summary

    def summarise(self) -> Summary:
        return self._summary


class Texts(HTMLParser):
    """What a page shows; raises where a tag is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_report_is_a_few_lines_whose_columns_stand_under_one_another() -> None:
    told = Told(
        Summary("parity pass", {"model": "m.onnx", "on": "mnist"}, [("ort", 1), ("openvino", 23)], ("name", "n"))
    )
    assert repr(told).splitlines() == [
        "parity pass",
        "  model  m.onnx",
        "  on     mnist",
        "  name      n",
        "  ort       1",
        "  openvino  23",
    ]


def test_rows_beyond_the_first_are_counted() -> None:
    rows = [(number,) for number in range(MOST_ROWS + 3)]
    assert repr(Told(Summary("x", {}, rows, ("n",)))).endswith(f"{MOST_ROWS - 1}\n  ... and 3 more")
    assert repr(Told(Summary("x", {}, rows[:2], ("n",), 1_002))).endswith("... and 1,000 more")
    assert "... and 3 more" in Told(Summary("x", {}, rows, ("n",)))._repr_html_()


def test_what_a_stranger_s_file_is_called_is_neither_markup_nor_a_terminal_s_command() -> None:
    evil = "<script>alert(1)</script>\x1b[31m\n'\"&"
    told = Told(Summary(evil, {evil: evil}, [(evil, 1)], (evil, "n")))
    assert "\x1b" not in repr(told)
    assert len(repr(told).splitlines()) == 4
    page = Texts(told._repr_html_())
    assert page.tags == {"div", "p", "b", "table", "tr", "th", "td"}
    assert page.texts.count("<script>alert(1)</script> [31m '\"&") == 5
    assert "color" not in told._repr_html_()  # that of the notebook's page, dark or light


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("name the same data with --data", "name the same data with data="),
        ("--threads 'x' is no number", "threads='x' is no number"),
        ("leave out --all-data, --size and --run", "leave out all_data=, size= and run="),
        ("--threads -1 holds -1", "threads=-1 holds -1"),
        (
            "a driver (start it with its GPU, docker run --gpus all)",
            "a driver (start it with its GPU, docker run --gpus all)",
        ),
        ("saved, go on with: toolkit train --resume runs/x", "saved, go on with: toolkit train --resume runs/x"),
        (
            "get it with: pip install --upgrade x; or --runtime ort",
            "get it with: pip install --upgrade x; or runtime= ort",
        ),
    ],
)
def test_options_become_keyword_arguments_and_commands_stay(words: str, expected: str) -> None:
    assert name_arguments(words) == expected


def test_a_failure_keeps_its_class_its_cause_and_what_else_it_says() -> None:
    @in_callers_words
    def work(*, allow_external_data: bool = False, listener: Listener | None = None) -> None:
        del listener
        if allow_external_data:
            raise StoppedError("stopped at --batch 3", signal=15) from ValueError("why")
        raise ExternalDataError("numbers lie beside it")

    with pytest.raises(StoppedError, match="stopped at batch=3") as stopped:
        work(allow_external_data=True)
    assert stopped.value.exit_code == 143
    assert isinstance(stopped.value.__cause__, ValueError)
    with pytest.raises(ExternalDataError, match=r"or read them from its own folder: allow_external_data=$"):
        work()


def test_a_call_is_told_with_what_differs_from_the_defaults() -> None:
    given = dict.fromkeys(("polarity", "name", "device", "threads", "resume", "keep_every", "on_epoch"))
    given |= {"listener": Listener(), "all_data": False, "allow_drift": False}
    given |= {"recipe": Path("my.toml"), "set": {"dropout": 0.3}, "epochs": 2, "seed": 0, "size": (32, 48)}
    given["data"] = (np.zeros((3, 28, 28), np.uint8), [1, 2, 3])
    assert write_call(train, given) == (
        "toolkit.train((<uint8 [3, 28, 28]>, [1, 2, 3]), recipe='my.toml', set={'dropout': 0.3}, epochs=2, "
        "seed=0, size=(32, 48))"
    )


def test_arguments_are_words_numbers_or_lists_of_them() -> None:
    assert split_names("ort, torch") == split_names(["ort", "torch"]) == ("ort", "torch")
    assert (
        split_numbers("1,64", option="--batch", least=1) == split_numbers([1, 64], option="--batch", least=1) == (1, 64)
    )
    assert split_numbers(8, option="--batch", least=1) == split_numbers(np.int64(8), option="--batch", least=1) == (8,)
    assert split_size("48x64") == split_size((48, 64)) == (48, 64)
    assert split_size(64) == (64, 64)
    feeds = read_feeds(None, {"x": (2, 3)}, values={"rate": 16000, "mix": [0.5, 1]})
    assert feeds.shapes == {"x": (2, 3)}
    assert feeds.values == {"rate": (16000,), "mix": (0.5, 1)}
    arrays = {"x": np.zeros(3, np.float32)}
    assert read_feeds(arrays, None).given is arrays


@pytest.mark.parametrize("given", [[], "", ",", [1.5, "x"], [0], None])
def test_numbers_that_are_none_are_refused(given: Any) -> None:
    with pytest.raises(UsageError):
        split_numbers(given, option="--batch", least=1)


def test_a_cell_that_is_too_long_is_cut_on_a_line_and_whole_on_a_page() -> None:
    told = Told(Summary("x", {}, [("a" * 200,)], ("n",)))
    assert max(map(len, repr(told).splitlines())) == 2 + 72
    assert "a" * 200 in told._repr_html_()
