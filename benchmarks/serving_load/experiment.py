"""What all parts of the benchmark share: the file, how long, which servers there are, and who has which core."""

from __future__ import annotations

__all__ = ["CLIENT_CORE", "MANY", "OVERLOADED", "SERVER_CORE", "Experiment"]

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving_load.servers import SERVERS, RunningServer, Wire, run_server

SERVER_CORE, CLIENT_CORE = 0, 1
# Pictures of a large request, and of those that the product is asked in when more comes than it can serve.
MANY, OVERLOADED = 32, 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One call of the benchmark.

    Attributes:
        model: the file that every server has.
        seconds: of one measurement.
        turns: of each server, A B B A.
        max_p99_ms: within which 99 % have to be answered.
        pythons: the interpreters of the peers that were named.
        overload_s: of an overload.
        requests: that are counted by both sides.
        pictures: whose answers are judged; None: all of the test set.
        times: that the server is ended, and started.
        reloads: of the file.
        roads: whose capacity is searched, of those that there are.
    """

    model: Path
    seconds: float
    turns: int
    max_p99_ms: float
    pythons: Mapping[str, str]
    overload_s: float = 60.0
    requests: int = 100_000
    pictures: int | None = None
    times: int = 20
    reloads: int = 200
    roads: int = 3

    @property
    def names(self) -> list[str]:
        """The servers that can be started."""
        return [name for name in SERVERS if self._python_of(name)]

    def wire(self, count: int, name: str = "toolkit") -> Wire:
        """Return a request about so many pictures, as a server takes it."""
        return SERVERS[name](self.images(count))

    def images(self, count: int) -> NDArray[np.uint8]:
        """Return pictures, uint8 `[count, 28, 28]`."""
        return np.random.default_rng(0).integers(0, 256, (OVERLOADED, 28, 28), np.uint8)[:count]

    def start(
        self, name: str = "toolkit", *options: str, has_grpc: bool = False
    ) -> AbstractContextManager[RunningServer]:
        """Start a server on its core.

        Args:
            name: in `SERVERS`.
            options: of the product's own.
            has_grpc: whether it listens for gRPC as well, where it can.
        """
        python = self._python_of(name)
        return run_server(name, self.model, python=python, core=SERVER_CORE, options=options, has_grpc=has_grpc)

    def _python_of(self, name: str) -> str:
        """Return the interpreter that has a server; empty where none was named."""
        word = name.partition(",")[0]
        return sys.executable if word == "toolkit" else self.pythons.get(word, "")
