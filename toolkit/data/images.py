"""Images with their labels, in memory or in a file that is mapped, and how to go through many of them.

Shapes: N images of a split, M images where they lie, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["PIECE_PIXELS", "Split", "split_images"]

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from toolkit.counts import count_of
from toolkit.errors import DataError

# 500 images of 28x28: the first convolution's 32 maps of them need about 50 MB in float32. An image of 128x128 in RGB
# counts 63 times as much, so that 500 of those would need 1 GB.
PIECE_PIXELS = 500 * 28 * 28


class Split:
    """Images with their labels.

    The images may lie in another order than the split's: a million of them then stay where they are, in a file that is
    mapped say, and what goes through all of them asks for `iterate_pieces`, or for some with `take`.

    Args:
        images: uint8 `[M, H, W]` (grey) or `[M, H, W, 3]` (RGB), raw pixels 0-255.
        labels: int64 `[N]`, indices into the classes.
        order: int64 `[N]`, which of `images` each is; None: they are in order, and N is M.

    Attributes:
        labels: as given.

    Raises:
        DataError: a dtype or shape is another one, or the counts differ (the first index without a partner is named).
    """

    __slots__ = ("_order", "_stored", "labels")

    def __init__(
        self,
        *,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        order: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._stored, self._order, self.labels = images, order, labels
        shape = images.shape
        if images.dtype != np.uint8 or len(shape) not in {3, 4} or (len(shape) == 4 and shape[3] != 3):
            found = f"{images.dtype} {list(shape)}"
            raise DataError(f"images are {found}; expected uint8 [count, height, width] or [count, height, width, 3]")
        if 0 in shape[1:]:
            raise DataError(f"images are {list(shape)}: a height or width of 0; expected at least 1 pixel")
        if labels.dtype != np.int64 or labels.ndim != 1:
            raise DataError(f"labels are {labels.dtype} {list(labels.shape)}; expected int64 [count]")
        count = len(images) if order is None else len(order)
        if count != len(labels):
            lonely = "image" if count > len(labels) else "label"
            raise DataError(
                f"{count_of(count, 'image')} but {count_of(len(labels), 'label')}: {lonely} {min(count, len(labels))} "
                "has no partner"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> npt.NDArray[np.uint8]:
        """The images in the split's order, `[N, H, W]` or `[N, H, W, 3]`.

        Where they lie in another order they are copied at the first question, and the copy is kept.
        """
        if self._order is not None:
            self._stored, self._order = self._stored[self._order], None
        return self._stored

    @property
    def stored(self) -> npt.NDArray[np.uint8]:
        """The images as they lie, `[M, H, W]` or `[M, H, W, 3]`; others may be among them."""
        return self._stored

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Which of `stored` each image is, int64 `[N]`."""
        return np.arange(len(self), dtype=np.int64) if self._order is None else self._order

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image, `(H, W)` or `(H, W, 3)`."""
        return self._stored.shape[1:]

    def take(self, indices: npt.NDArray[np.int64]) -> Split:
        """Return the images with these indices, int64 `[M]`, in that order; no pixel is copied."""
        return Split(images=self._stored, labels=self.labels[indices], order=self.places[indices])

    def cut(self, count: int) -> tuple[Split, Split]:
        """Return the first `count` images and the others; no pixel is copied."""
        return self._part(slice(count)), self._part(slice(count, None))

    def relabel(self, labels: npt.NDArray[np.int64]) -> Split:
        """Return the same images with other labels, int64 `[N]`."""
        return Split(images=self._stored, labels=labels, order=self._order)

    def iterate_pieces(self, *, pixels: int = PIECE_PIXELS) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the images in order, some at a time: what goes through a million holds a few hundred.

        Args:
            pixels: the most numbers in one piece; a single image may be larger.
        """
        size = max(1, pixels // math.prod(self.image_shape))
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield self._stored[part if self._order is None else self._order[part]]

    def _part(self, part: slice) -> Split:
        if self._order is None:
            return Split(images=self._stored[part], labels=self.labels[part])
        return Split(images=self._stored, labels=self.labels[part], order=self._order[part])


def split_images(images: npt.NDArray[np.uint8], *, pixels: int = PIECE_PIXELS) -> list[npt.NDArray[np.uint8]]:
    """Return views of consecutive images, in order.

    Args:
        images: uint8 `[N, H, W]` or `[N, H, W, 3]`, at least one.
        pixels: the most numbers in one piece; a single image may be larger.
    """
    size = max(1, pixels // images[0].size)
    return [images[start : start + size] for start in range(0, len(images), size)]
