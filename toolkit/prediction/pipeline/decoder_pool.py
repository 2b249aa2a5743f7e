"""Decoder processes and what becomes of a picture that kills one."""

from __future__ import annotations

__all__ = ["DecoderPool"]

import contextlib
import queue
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace

from toolkit.closing import Closing
from toolkit.errors import HelperStartError, ResourceError
from toolkit.prediction.pipeline.blocks import Block, join_blocks
from toolkit.prediction.pipeline.decoder import (
    MOST_SECONDS,
    grant_memory,
    read_reply,
    write_items,
    write_preparation,
)
from toolkit.prediction.pipeline.prepare_items import Preparation, prepare_items
from toolkit.prediction.sources.items import ArrayItem, Item
from toolkit.runtimes.workers.helper import Helper

# Beyond what all pictures may take.
SLACK_S = 60.0
# Of memory for large pictures, in all processes together: one WebP of 64 megapixels, two JPEGs, many smaller ones.
ROOM_BYTES = 1 << 30


class DecoderPool(Closing):
    """A fixed number of decoder processes; `prepare` may be called from as many threads.

    Args:
        preparation: how pictures are brought to the model.
        size: processes.

    Raises:
        HelperStartError: no process can be started.
    """

    def __init__(self, preparation: Preparation, *, size: int) -> None:
        self._preparation = preparation
        self._size = size
        self._room = _Room(ROOM_BYTES)
        # None stands at the end of it where there will be no free process any more, and stays there for every thread.
        self._free: queue.SimpleQueue[Helper | None] = queue.SimpleQueue()
        self._all: list[Helper] = []
        self._end: Exception | None = None
        try:
            for _ in range(size):
                self._free.put(self._start())
        except BaseException:
            self.close()
            raise

    def prepare(self, items: Sequence[Item]) -> Block:
        """Return the items' rows, ready for the model; waits for a free process.

        A picture that crashes the decoder, or takes over 20 s, becomes a row with that reason; the others are prepared.

        Raises:
            HelperStartError: a process cannot start; this call and every later one.
            ResourceError: a process died of an array, or the pool was closed.
        """
        block, problem = self._ask(items)
        if block is not None:
            return block
        if len(items) == 1 and not isinstance(items[0], ArrayItem):
            item = replace(items[0], content=None, message=f"{items[0].source}: its decoder {problem}")
            return prepare_items([item], self._preparation)
        if len(items) == 1:
            raise ResourceError(f"the process that prepares {items[0].source} {problem}")
        # Which of them it was nobody knows: asked for one by one, the one that kills its process is found out.
        return join_blocks([self.prepare([item]) for item in items])

    def close(self) -> None:
        """End the processes; who waits for one is told."""
        self._give_up(ResourceError("the decoders were closed"))
        for helper in self._all:
            helper.kill()
        for helper in self._all:
            helper.close()
        self._all.clear()

    def _give_up(self, reason: Exception) -> None:
        self._end = self._end or reason
        self._free.put(None)

    def _ask(self, items: Sequence[Item]) -> tuple[Block | None, str]:
        """Return the block, or None and how the process ended."""
        helper = self._free.get()
        if helper is None:
            assert self._end is not None
            self._free.put(None)
            raise self._end
        try:
            helper.await_ready()
            block, problem = self._exchange(helper, items)
            self._free.put(self._replace(helper) if block is None else helper)
        except HelperStartError as error:
            self._give_up(error)
            raise
        return block, problem

    def _exchange(self, helper: Helper, items: Sequence[Item]) -> tuple[Block | None, str]:
        try:
            # It watches its pictures itself, and knows which one it was; this is for one that answers never. Large
            # ones wait for those of all other processes.
            with helper.limit(SLACK_S + MOST_SECONDS * len(items) * self._size):
                write_items(helper.requests, items)
                return self._read_block(helper, items), ""
        except (EOFError, OSError, ValueError) as error:
            if self._end is not None:
                raise self._end from error
            return None, _describe_end(helper)

    def _read_block(self, helper: Helper, items: Sequence[Item]) -> Block:
        """Return the block, giving the process the memory that it asks for on the way, one picture's at a time."""
        held = 0
        try:
            while not isinstance(reply := read_reply(helper.replies, items), Block):
                self._room.give(held)
                held = 0
                held = self._room.take(reply)
                grant_memory(helper.requests)
            return reply
        finally:
            self._room.give(held)

    def _replace(self, helper: Helper) -> Helper:
        """Start a process in the place of one that died, of which nothing stays open: many pictures may kill one."""
        helper.close()
        with contextlib.suppress(ValueError):  # the pool may be closed meanwhile
            self._all.remove(helper)
        return self._start()

    def _start(self) -> Helper:
        helper = Helper("toolkit.prediction.pipeline.decoder", title="a process to decode pictures")
        self._all.append(helper)
        # One that has ended already is found out when its first answer is read.
        with contextlib.suppress(BrokenPipeError):
            write_preparation(helper.requests, self._preparation)
        return helper


class _Room:
    """Memory that several threads share, given in the order in which it was asked for."""

    def __init__(self, size_bytes: int) -> None:
        self._size = self._free = size_bytes
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    def take(self, size_bytes: int) -> int:
        """Wait until there is so much, or all of it, and return what was taken."""
        wanted = min(size_bytes, self._size)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        return wanted

    def give(self, size_bytes: int) -> None:
        """Give back what was taken."""
        with self._changed:
            self._free += size_bytes
            self._changed.notify_all()


def _describe_end(helper: Helper) -> str:
    how = helper.describe_end()
    return f"took over {MOST_SECONDS} s" if helper.process.returncode == -signal.SIGALRM else how
