"""Decoder processes and what becomes of a picture that kills one."""

from __future__ import annotations

__all__ = ["DecoderPool"]

import contextlib
import queue
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from toolkit.closing import Closing
from toolkit.errors import ResourceError
from toolkit.prediction.blocks import Block, join_blocks
from toolkit.prediction.crossing import read_block, write_items, write_preparation
from toolkit.prediction.decoder import MOST_SECONDS, READY
from toolkit.prediction.items import ArrayItem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from toolkit.prediction.items import Item
    from toolkit.prediction.prepare_items import Preparation


class DecoderPool(Closing):
    """A fixed number of decoder processes; `prepare` may be called from as many threads.

    Args:
        preparation: how pictures are brought to the model.
        size: processes.
        cache: file of pictures that were prepared before, or None.

    Raises:
        ResourceError: no process can be started.
    """

    def __init__(self, preparation: Preparation, *, size: int, cache: Path | None = None) -> None:
        self._preparation = preparation
        self._cache = None if cache is None else str(cache)
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._all: list[subprocess.Popen[bytes]] = []
        self._is_closed = False
        self._ready: set[subprocess.Popen[bytes]] = set()
        try:
            for _ in range(size):
                self._free.put(self._start())
        except BaseException:
            self.close()
            raise

    def prepare(self, items: Sequence[Item]) -> Block:
        """Return the items' rows, ready for the model; waits for a free process.

        A picture that crashes the decoder, or takes over 20 s, becomes a row with that reason; the others are prepared.
        """
        block, problem = self._ask(items)
        if block is not None:
            return block
        if len(items) == 1 and not isinstance(items[0], ArrayItem):
            item, shape = items[0], self._preparation.spec.shape
            return _failed(item.source, item.index, f"{item.source}: its decoder {problem}", shape=shape)
        if len(items) == 1:
            raise ResourceError(f"the process that prepares {items[0].source} {problem}")
        return join_blocks([self.prepare([item]) for item in items])

    def close(self) -> None:
        """End the processes."""
        self._is_closed = True
        for process in self._all:
            process.kill()
        for process in self._all:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):  # what nobody has read is written once more
                        pipe.close()
        self._all.clear()

    def _ask(self, items: Sequence[Item]) -> tuple[Block | None, str]:
        """Return the block, or None and how the process ended."""
        process = self._free.get()
        self._await_start(process)
        try:
            block = _exchange(process, items)
        except (EOFError, OSError, ValueError):
            if self._is_closed:
                raise
            problem = _describe_end(process)
            self._free.put(self._start())
            return None, problem
        self._free.put(process)
        return block, ""

    def _await_start(self, process: subprocess.Popen[bytes]) -> None:
        """Read the sign that a process is ready, so that no picture is blamed for one that cannot start."""
        assert process.stdout is not None
        if process not in self._ready and process.stdout.read(len(READY)) != READY:
            raise ResourceError(f"a process to decode pictures {_describe_end(process)} while it started")
        self._ready.add(process)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "toolkit.prediction.decoder"]
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise ResourceError(f"cannot start a process to decode pictures: {error.strerror}") from error
        self._all.append(process)
        assert process.stdin is not None
        # One that has ended already is found out when its sign is read.
        with contextlib.suppress(BrokenPipeError):
            write_preparation(cast("BinaryIO", process.stdin), self._preparation, cache=self._cache)
        return process


def _exchange(process: subprocess.Popen[bytes], items: Sequence[Item]) -> Block:
    assert process.stdin is not None
    assert process.stdout is not None
    write_items(cast("BinaryIO", process.stdin), items)
    return read_block(cast("BinaryIO", process.stdout), items)


def _describe_end(process: subprocess.Popen[bytes]) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    process.kill()
    code = process.wait()
    if code == -signal.SIGALRM:
        return f"took over {MOST_SECONDS} s"
    return f"crashed (exit code {code})"


def _failed(source: str, index: int, reason: str, *, shape: tuple[int, ...]) -> Block:
    return Block(
        sources=[source],
        indices=np.array([index]),
        images=np.empty((0, *shape), np.uint8),
        places=np.empty(0, np.int64),
        messages={0: reason},
    )
