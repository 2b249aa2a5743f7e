"""What sources yield: pictures that are still encoded, and blocks of pixels; nothing is decoded yet.

They travel in jobs: groups of a fixed number of rows, from which the first are left out where they are done already.
"""

from __future__ import annotations

__all__ = ["ArrayItem", "ImageItem", "Item", "PackedFile", "group_items", "rows_per_job", "skip_rows"]

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from toolkit.card import InputSpec
from toolkit.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.containers.kinds import Kind

# Few enough that the first answers come soon, many enough that handing them over costs little.
JOB_ROWS = 512
JOB_BYTES = 16 << 20
# Of encoded pictures.
JOB_FILE_BYTES = 8 << 20
# A picture of that size is no small one: those that follow are likely to be as large.
LARGE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One picture of one row, or the reason why there is none. Small and picklable: it travels to the decoders.

    Attributes:
        source: where it comes from, as text that every terminal and every CSV reader can take.
        index: its position inside the source, from 0.
        content: the path of the file to read (text: a million of them are made and sent), or the encoded bytes; None
            where it cannot be had.
        message: what was done to get there; the reason where there is no content.
    """

    source: str
    index: int
    content: str | bytes | None
    message: str = ""

    def __reduce__(self) -> tuple[type[ImageItem], tuple[str, int, str | bytes | None, str]]:
        # A dataclass with slots pickles field by field, which takes four times as long.
        return ImageItem, (self.source, self.index, self.content, self.message)

    @property
    def num_rows(self) -> int:
        """Rows that it becomes: 1."""
        return 1


@dataclass(frozen=True, slots=True)
class ArrayItem:
    """Neighbouring pictures of one array, whose values nobody has judged yet.

    Attributes:
        source: as in `ImageItem`.
        start: position of the first one inside the source.
        images: `[N, H, W]` or `[N, H, W, c]` (`array_layout`), of any real dtype; may be a view of a mapped file.
        bits: depth of its whole numbers, decided for the whole array.
    """

    source: str
    start: int
    images: npt.NDArray[Any]
    bits: int = 8

    @property
    def num_rows(self) -> int:
        """Rows that it becomes: N."""
        return len(self.images)


@dataclass(frozen=True, slots=True)
class PackedFile:
    """A file that holds any number of pictures, unopened.

    Attributes:
        path: of the file.
        kind: an archive, an array or a table.
    """

    path: str
    kind: Kind


Item: TypeAlias = ImageItem | ArrayItem


def rows_per_job(batch: int, spec: InputSpec) -> int:
    """Return how many rows travel together: whole batches, about 512 rows, at most about 16 MB of pictures."""
    most = min(JOB_ROWS, JOB_BYTES // math.prod(spec.shape))
    return batch * max(1, most // batch)


def group_items(items: Iterable[Item], rows: int) -> Iterator[list[Item]]:
    """Yield jobs of exactly `rows` rows, the last one of what is left; arrays are cut where a job ends.

    A job ends before where its encoded pictures are large: of photographs a few travel together, and their rows come.
    Nothing is taken from `items` before it is needed.
    """
    job: list[Item] = []
    missing, size_bytes = rows, 0
    for item in items:
        size_bytes += _encoded_bytes(item, is_large=not job or size_bytes > LARGE_BYTES * len(job))
        rest: Item | None = item
        while rest is not None:
            piece, rest = _cut(rest, missing)
            job.append(piece)
            missing -= piece.num_rows
            if not missing or size_bytes >= JOB_FILE_BYTES:
                yield job
                job, missing, size_bytes = [], rows, 0
    if job:
        yield job


def _encoded_bytes(item: Item, *, is_large: bool) -> int:
    """Return the size of a picture's file; of one on the disk only where it, or those before it, may be large."""
    if isinstance(item, ArrayItem) or item.content is None:
        return 0
    if isinstance(item.content, bytes):
        return len(item.content)
    try:
        return os.stat(item.content).st_size if is_large else 0  # noqa: PTH116 - no Path for every file
    except (OSError, ValueError):  # whoever reads it says why it cannot
        return 0


def skip_rows(items: Iterable[Item], count: int, *, last: tuple[str, int] | None) -> Iterator[Item]:
    """Yield what follows the first `count` rows.

    Args:
        items: all of them, in the order of the earlier run.
        count: rows that are done.
        last: source and index of the last of them.

    Raises:
        UsageError: there are fewer, or another one stands in the last one's place: the inputs have changed.
    """
    remaining, seen = count, last if not count else None
    for item in items:
        rest: Item | None = item
        if remaining:
            done, rest = _cut(item, remaining)
            remaining -= done.num_rows
            seen = _last_row(done)
            if not remaining and seen != last:
                break
        if rest is not None:
            yield rest
    if remaining or seen != last:
        raise UsageError(
            f"the inputs have changed since the unfinished result was written: its row {count} is {last}, now it is "
            f"{seen}; start over with --force"
        )


def _cut(item: Item, rows: int) -> tuple[Item, Item | None]:
    """Return the first `rows` rows of an item and what is left of it."""
    if not isinstance(item, ArrayItem) or item.num_rows <= rows:
        return item, None
    first = replace(item, images=item.images[:rows])
    return first, replace(item, start=item.start + rows, images=item.images[rows:])


def _last_row(item: Item) -> tuple[str, int]:
    if isinstance(item, ArrayItem):
        return item.source, item.start + item.num_rows - 1
    return item.source, item.index
