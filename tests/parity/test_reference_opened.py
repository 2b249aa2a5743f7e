"""The run's network is opened while the bounds are computed, and closed whatever happens."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.images import compute_reference
from toolkit.runtimes.base import Arrays, RuntimeSettings

PATIENCE_S = 20.0
SUITES = {"test": np.zeros((3, 2, 2), np.uint8)}
SOURCE = ModelSource(model=b"", sha256="", path=Path("m.onnx"), run=Path("run"))


class Workers:
    """Opens a network that starts no sooner than the first bound is computed."""

    def __init__(self, *, graph_fails: bool = False, network_fails: bool = False) -> None:
        self.graph_fails, self.network_fails = graph_fails, network_fails
        self.bound, self.network_closed = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        self.opened: list[str] = []
        self.closed: list[str] = []
        self._kept: list[AbstractContextManager[Workers]] = []

    def __call__(self, _: ModelSource, settings: RuntimeSettings, **__: Any) -> AbstractContextManager[Workers]:
        self._kept.append(self._open(settings))  # so that it is not closed by being forgotten
        return self._kept[-1]

    @contextlib.contextmanager
    def _open(self, settings: RuntimeSettings) -> Iterator[Workers]:
        if settings.runtime == "torch":
            assert self.graph_fails or self.bound.wait(PATIENCE_S), "the bounds wait for the network"
            if self.network_fails:
                raise ModelError("the checkpoint is damaged")
        elif self.graph_fails:
            raise ModelError("the graph is damaged")
        self.opened.append(settings.runtime)
        try:
            yield self
        finally:
            self.closed.append(settings.runtime)
            if settings.runtime == "torch":
                self.network_closed.set()

    def run(self, feeds: Arrays) -> dict[str, Any]:
        self.bound.set()
        self.sizes.append(len(feeds["images"]))
        return {name: np.ones((len(feeds["images"]), 2)) for name in ("logits", "rounding_sigma")}


def test_the_network_is_opened_while_the_bounds_are_computed() -> None:
    workers = Workers()
    reference = compute_reference(SOURCE, SUITES, precision="fp32", opener=workers)
    assert (reference.kind, len(reference.suites[0].logits)) == ("pytorch-float64", 3)
    assert sorted(workers.opened) == sorted(workers.closed) == ["onnx-float64", "torch"]


def test_a_network_that_cannot_be_opened_is_told() -> None:
    workers = Workers(network_fails=True)
    with pytest.raises(ModelError, match="the checkpoint is damaged"):
        compute_reference(SOURCE, SUITES, precision="fp32", opener=workers)
    assert workers.opened == workers.closed == ["onnx-float64"]


def test_the_network_is_closed_where_the_graph_cannot_be_opened() -> None:
    workers = Workers(graph_fails=True)
    with pytest.raises(ModelError, match="the graph is damaged"):
        compute_reference(SOURCE, SUITES, precision="fp32", opener=workers)
    assert workers.network_closed.wait(PATIENCE_S)  # as soon as it is open
    assert workers.opened == workers.closed == ["torch"]


def test_the_network_is_asked_about_100_images_of_mnists_size_at_a_time() -> None:
    workers = Workers()
    suites = {"test": np.zeros((701, 28, 28), np.uint8)}
    reference = compute_reference(SOURCE, suites, precision="fp32", opener=workers)
    assert len(reference.suites[0].logits) == 701
    assert workers.sizes == [128, *[100] * 7, 1]
