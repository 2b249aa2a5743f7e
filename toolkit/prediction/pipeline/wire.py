"""Items and blocks as frames: how they cross from one process to another without anything that runs code."""

from __future__ import annotations

__all__ = [
    "read_block",
    "read_items",
    "read_preparation",
    "write_block",
    "write_items",
    "write_preparation",
]

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.imaging.settings import PrepareSettings
from toolkit.prediction.pipeline.blocks import Block
from toolkit.prediction.pipeline.prepare_items import Preparation
from toolkit.prediction.sources.items import ArrayItem, ImageItem, Item
from toolkit.runtimes.workers.frames import read_frame, write_frame


def write_preparation(stream: BinaryIO, preparation: Preparation) -> None:
    """Write how pictures are prepared."""
    write_frame(stream, {"spec": asdict(preparation.spec), "settings": asdict(preparation.settings)})


def read_preparation(stream: BinaryIO) -> Preparation:
    """Read what `write_preparation` wrote.

    Raises:
        EOFError: there is nothing.
    """
    header, _ = _read(stream)
    return Preparation(spec=InputSpec(**header["spec"]), settings=PrepareSettings(**header["settings"]))


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
    write_frame(stream, {"items": rows}, arrays)


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


def write_block(stream: BinaryIO, block: Block) -> None:
    """Write a block without its sources, which whoever sent the items has."""
    arrays: dict[str, npt.NDArray[Any]] = {"indices": block.indices, "images": block.images, "places": block.places}
    write_frame(stream, {"messages": {str(row): text for row, text in block.messages.items()}}, arrays)


def read_block(stream: BinaryIO, items: Sequence[Item]) -> Block:
    """Read what `write_block` wrote, made of these items.

    Raises:
        EOFError: there is nothing.
    """
    header, arrays = _read(stream)
    return Block(
        sources=[item.source for item in items for _ in range(item.num_rows)],
        messages={int(row): text for row, text in header["messages"].items()},
        **arrays,
    )


def _read(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    frame = read_frame(stream)
    if frame is None:
        raise EOFError("the other side ended")
    return frame
