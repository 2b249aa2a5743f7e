"""An engine is opened before it is asked for, and closed whether it is asked for or not."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.workers.early import EarlyOpener

PATIENCE_S = 20.0
SOURCE = ModelSource(model=b"", sha256="", path=Path("m.onnx"))
TORCH, ORT = RuntimeSettings(runtime="torch"), RuntimeSettings(runtime="ort")


class Slow:
    """Opens an engine as soon as it may."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.begun, self.may, self.closed = threading.Event(), threading.Event(), threading.Event()
        self.opened: list[str] = []

    @contextlib.contextmanager
    def __call__(self, _: ModelSource, settings: RuntimeSettings, **__: Any) -> Iterator[str]:
        self.begun.set()
        assert self.may.wait(PATIENCE_S)
        if self.problem:
            raise ModelError(self.problem)
        self.opened.append(settings.runtime)
        yield settings.runtime
        self.closed.set()


def test_what_is_begun_opens_once_and_before_it_is_asked_for() -> None:
    slow = Slow()
    with EarlyOpener(slow) as early:
        early.begin(SOURCE, TORCH, timeout_s=1)
        assert slow.begun.wait(PATIENCE_S)
        slow.may.set()
        with early(SOURCE, TORCH) as engine:
            assert (engine, slow.closed.is_set()) == ("torch", False)
        assert slow.closed.is_set()
    assert slow.opened == ["torch"]


def test_what_is_not_begun_is_opened_when_it_is_asked_for() -> None:
    slow = Slow()
    slow.may.set()
    with EarlyOpener(slow) as early, early(SOURCE, ORT) as engine:
        assert engine == "ort"


def test_who_asks_for_an_engine_hears_why_it_does_not_open() -> None:
    slow = Slow(problem="no such engine")
    slow.may.set()
    with EarlyOpener(slow) as early:
        early.begin(SOURCE, TORCH, timeout_s=1)
        with pytest.raises(ModelError, match="no such engine"), early(SOURCE, TORCH):
            pass


def test_an_engine_that_nobody_asked_for_is_closed_and_its_opening_not_waited_for() -> None:
    slow = Slow()
    with EarlyOpener(slow) as early:
        early.begin(SOURCE, TORCH, timeout_s=1)
    assert not slow.opened
    slow.may.set()
    assert slow.closed.wait(PATIENCE_S)


def test_one_that_does_not_open_and_was_not_asked_for_is_nobodys_error() -> None:
    slow = Slow(problem="no such engine")
    slow.may.set()
    with EarlyOpener(slow) as early:
        early.begin(SOURCE, TORCH, timeout_s=1)
