"""NPY and IDX files into blocks of pixels: mapped where they lie plain, streamed where they are packed."""

from __future__ import annotations

__all__ = ["iterate_array_file", "iterate_stream", "open_array_file", "read_through", "tell_flattened"]

from typing import TYPE_CHECKING, BinaryIO

from toolkit.data.array_layout import expected_bits
from toolkit.data.unpacked import UnpackBudget, open_unpacked
from toolkit.errors import DataError
from toolkit.imaging.pixel_values import Depth
from toolkit.prediction.array_stream import ArrayStream, block_length
from toolkit.prediction.items import ArrayItem
from toolkit.prediction.kinds import Kind
from toolkit.prediction.mapped_array import map_array
from toolkit.regular_file import open_regular, printable_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.card import InputSpec
    from toolkit.data.array_layout import ArrayLayout
    from toolkit.prediction.mapped_array import MappedArray
    from toolkit.progress import OnNote


def iterate_array_file(
    path: str, kind: Kind, *, on_note: OnNote | None = None, spec: InputSpec | None = None
) -> Iterator[ArrayItem]:
    """Yield the blocks of an array's file.

    A packed file is unpacked twice: first to its end, where its checksum stands, so that a damaged one gives no images.

    Args:
        path: a regular file.
        kind: `NPY`, `IDX` or `PACKED_ARRAY`.
        on_note: called with one sentence where rows are taken for flattened pictures.
        spec: what the model takes.

    Raises:
        DataError: the file cannot be read as what it is, or holds no images.
    """
    name = printable_name(path)
    if kind in {Kind.NPY, Kind.IDX}:
        mapped = open_array_file(path, kind, spec=spec)
        tell_flattened(mapped.layout, name, on_note)
        yield from _cut(mapped, name, spec)
        return
    with open_regular(path) as stream:
        array = _open_packed(stream, name, spec)
        tell_flattened(array.layout, name, on_note)
        bits = read_through(array)
        yield from iterate_stream(_open_packed(stream, name, spec), name, bits=bits)


def read_through(array: ArrayStream) -> int:
    """Read a streamed array to its end, where its checksum stands, and return how many bits its numbers have.

    Raises:
        DataError: as `ArrayStream.read_blocks`.
    """
    depth = Depth()
    for block in array.read_blocks():
        depth.see(block)
    return depth.bits(array.expected_bits)


def iterate_stream(array: ArrayStream, source: str, *, bits: int | None = None) -> Iterator[ArrayItem]:
    """Yield the blocks of a streamed array.

    Args:
        array: at its start.
        source: what its rows are called.
        bits: as `read_through` returns it; None where it comes once only: then the first block tells, and pictures with
            larger numbers are refused.

    Raises:
        DataError: as `ArrayStream.read_blocks`.
    """
    start = 0
    for block in array.read_blocks():
        if bits is None:
            depth = Depth()
            depth.see(block)
            bits = depth.bits(array.expected_bits)
        yield ArrayItem(source, start, block, bits)
        start += len(block)


def tell_flattened(layout: ArrayLayout, name: str, on_note: OnNote | None) -> None:
    """Say that an array's rows are taken for pictures, as the model's size made us read it."""
    if layout.is_flattened and on_note is not None:
        height, width = layout.shape
        on_note(
            f"{name}: {layout.num_pictures} rows of {height * width} values are taken for pictures of {height}x{width}"
        )


def open_array_file(path: str, kind: Kind, *, spec: InputSpec | None = None) -> MappedArray:
    """Map a plain NPY or IDX file into memory; nothing is read and pickled objects are never loaded.

    Raises:
        DataError: another kind of file, damaged, bytes missing or left over, no images.
    """
    name = printable_name(path)
    with open_regular(path) as stream:
        return map_array(stream, is_npy=kind == Kind.NPY, name=name, spec=spec)


def _open_packed(stream: BinaryIO, name: str, spec: InputSpec | None) -> ArrayStream:
    budget = UnpackBudget.of_file(stream, name=name)
    array = ArrayStream(open_unpacked(stream, name=name, budget=budget), name=name, spec=spec)
    if not array.is_images:
        raise DataError(f"{name} has rank {len(array.shape)}; expected 2 to 4")
    return array


def _cut(array: MappedArray, source: str, spec: InputSpec | None) -> Iterator[ArrayItem]:
    length = block_length(array.image_bytes)
    depth = Depth()
    if array.images.itemsize > 1:
        for start in range(0, len(array.images), length):
            depth.see(array.images[start : start + length])
            array.forget(start, length)
    bits = depth.bits(expected_bits(array.images.dtype, spec))
    for start in range(0, len(array.images), length):
        yield ArrayItem(source, start, array.images[start : start + length], bits)
        array.forget(start, length)
