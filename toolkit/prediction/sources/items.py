"""What sources yield: pictures that are still encoded, and blocks of pixels; nothing is decoded yet."""

from __future__ import annotations

__all__ = ["ArrayItem", "ImageItem", "Item", "PackedFile"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy.typing as npt

    from toolkit.prediction.sources.kinds import Kind


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
