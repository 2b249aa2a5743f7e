"""A process that prepares pictures: jobs come in on its standard input, blocks go out on its standard output.

They cross as frames: a header in JSON and arrays beside it, without anything that runs code, as a pickle would.
"""

from __future__ import annotations

__all__ = [
    "MOST_SECONDS",
    "grant_memory",
    "main",
    "read_items",
    "read_preparation",
    "read_reply",
    "write_block",
    "write_items",
    "write_preparation",
]

import os
import signal
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.imaging.settings import PrepareSettings
from toolkit.prediction.pipeline.blocks import Block
from toolkit.prediction.pipeline.prepare_items import Preparation, prepare_items
from toolkit.prediction.sources.items import ArrayItem, ImageItem, Item
from toolkit.runtimes.workers.frames import read_frame, write_frame
from toolkit.runtimes.workers.helper_start import READY

# A picture that takes longer ends the process; the parent finds out which one it was.
MOST_SECONDS = 20
# A smaller picture is decoded without asking for its memory.
FREE_BYTES = 32 << 20


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
        block = prepare_items(
            items, preparation, before=_start_clock, reserve=partial(_reserve, requests=requests, replies=replies)
        )
        _stop_clock()
        write_block(replies, block)


def read_preparation(stream: BinaryIO) -> Preparation:
    """Read what `write_preparation` wrote.

    Raises:
        EOFError: there is nothing.
    """
    header, _ = _read(stream)
    return Preparation(spec=InputSpec(**header["spec"]), settings=PrepareSettings(**header["settings"]))


def write_preparation(stream: BinaryIO, preparation: Preparation) -> None:
    """Write how pictures are prepared."""
    write_frame(stream, {"spec": asdict(preparation.spec), "settings": asdict(preparation.settings)})


def read_items(stream: BinaryIO) -> list[Item]:
    """Read what `write_items` wrote.

    Raises:
        EOFError: there is nothing more.
    """
    header, arrays = _read(stream)
    items: list[Item] = []
    for number, (kind, source, index, *rest) in enumerate(header["items"]):
        if kind == "pixels":
            items.append(ArrayItem(source, index, arrays[str(number)], rest[0]))
        elif kind == "bytes":
            items.append(ImageItem(source, index, arrays[str(number)].tobytes(), rest[0]))
        else:
            items.append(ImageItem(source, index, rest[1], rest[0]))
    return items


def write_items(stream: BinaryIO, items: Sequence[Item]) -> None:
    """Write items; encoded bytes and pixels travel beside the header."""
    rows: list[list[Any]] = []
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, item in enumerate(items):
        if isinstance(item, ArrayItem):
            rows.append(["pixels", item.source, item.start, item.bits])
            arrays[str(number)] = np.asarray(item.images)
        elif isinstance(item.content, bytes):
            rows.append(["bytes", item.source, item.index, item.message])
            arrays[str(number)] = np.frombuffer(item.content, np.uint8)
        else:
            rows.append(["file", item.source, item.index, item.message, item.content])
    write_frame(stream, {"items": rows}, arrays=arrays)


def read_reply(stream: BinaryIO, items: Sequence[Item]) -> Block | int:
    """Read what `write_block` wrote, made of these items; or how much memory the process asks for before it goes on.

    Raises:
        EOFError: there is nothing.
    """
    header, arrays = _read(stream)
    if "reserve" in header:
        return int(header["reserve"])
    return Block(
        sources=[item.source for item in items for _ in range(item.num_rows)],
        messages={int(row): text for row, text in header["messages"].items()},
        **arrays,
    )


def write_block(stream: BinaryIO, block: Block) -> None:
    """Write a block without its sources, which whoever sent the items has."""
    arrays: dict[str, npt.NDArray[Any]] = {"indices": block.indices, "images": block.images, "places": block.places}
    write_frame(stream, {"messages": {str(row): text for row, text in block.messages.items()}}, arrays=arrays)


def grant_memory(stream: BinaryIO) -> None:
    """Write that the memory which was asked for may be taken."""
    write_frame(stream, {})


def _reserve(size_bytes: int, *, requests: BinaryIO, replies: BinaryIO) -> None:
    """Ask for a large picture's memory, and wait for it: all decoders together have so much."""
    if size_bytes < FREE_BYTES:
        return
    _stop_clock()
    write_frame(replies, {"reserve": size_bytes})
    if read_frame(requests) is None:
        raise SystemExit  # nobody waits for the picture any more
    _start_clock()


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


def _read(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    frame = read_frame(stream)
    if frame is None:
        raise EOFError("the other side ended")
    return frame


if __name__ == "__main__":
    main()
