"""A process that prepares pictures: jobs come in on its standard input, blocks go out on its standard output."""

from __future__ import annotations

__all__ = ["MOST_SECONDS", "main"]

import os
import signal
from typing import BinaryIO

from toolkit.prediction.pipeline.prepare_items import prepare_items
from toolkit.prediction.pipeline.wire import read_items, read_preparation, write_block
from toolkit.runtimes.workers.helper_start import READY

# A picture that takes longer ends the process; the parent finds out which one it was.
MOST_SECONDS = 20


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that the user called decides what Ctrl-C means
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as replies:
        os.dup2(2, 1)  # whatever a library prints must not get between the blocks
        _serve(requests, replies)


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    preparation = read_preparation(requests)
    replies.write(READY)
    replies.flush()
    _be_silent()
    while True:
        try:
            items = read_items(requests)
        except EOFError:
            return
        block = prepare_items(items, preparation, before=_start_clock)
        _stop_clock()
        write_block(replies, block)


def _be_silent() -> None:
    """Drop what libraries say of single pictures: it would fill the log of a long run."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def _start_clock() -> None:
    if hasattr(signal, "setitimer"):  # Windows has none
        signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)


def _stop_clock() -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
