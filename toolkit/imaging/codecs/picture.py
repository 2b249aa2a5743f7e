"""A picture as Pillow's own plugins make one, whose pixels are decoded here."""

from __future__ import annotations

__all__ = ["ORIENTATION", "OwnPicture", "keep_upper_bytes", "refuse_dark_colour"]

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile

from toolkit.errors import DataError

# Where such a picture's `info` says how it has to be turned, by EXIF's number.
ORIENTATION = "toolkit.orientation"
BYTE_BITS = 8


class OwnPicture(ImageFile):
    """Opened from a stream as Pillow's plugins are, with what it is called in messages in the place of its file's name.

    Attributes:
        most_pixels_per_byte: of its file, at the very best.
    """

    most_pixels_per_byte = 1

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return str(self.filename)

    def decode(self) -> Image.Image:
        """Return the picture, of this one's mode and size."""
        raise NotImplementedError

    def load(self) -> Any:
        """Decode, once."""
        if self._im is None:
            self.im = self.decode().im
        return Image.Image.load(self)


def keep_upper_bytes(values: npt.NDArray[np.uint16], *, name: str) -> npt.NDArray[np.uint8]:
    """Return colours of 16 bits in 8.

    Raises:
        DataError: as `refuse_dark_colour`.
    """
    pixels = (values >> BYTE_BITS).astype(np.uint8)
    refuse_dark_colour(pixels, name=name)
    return pixels


def refuse_dark_colour(pixels: npt.NDArray[np.uint8], *, name: str) -> None:
    """Refuse the upper bytes of colours whose numbers had 12 bits or fewer, of which too little is left.

    Raises:
        DataError: there is something in them, and all under 16.
    """
    if 0 < pixels.max() < 16:
        raise DataError(
            f"{name} has 16-bit colour whose values end under 4,096 of 65,535, and only the upper 8 bits of colour are "
            "read; save it with 8 bits a channel, or in 16-bit grey"
        )
