"""Pillow's reader of JPEG without what it does to the process around it."""

from __future__ import annotations

__all__ = ["JpegPicture", "refuse_end"]

from PIL.JpegImagePlugin import JpegImageFile


class JpegPicture(JpegImageFile):
    """A JPEG file, opened; one that ends early is refused, whatever switch of Pillow's is set."""

    def load_read(self, read_bytes: int) -> bytes:
        """Read more of the file."""
        assert self.fp is not None
        return refuse_end(self.fp.read(read_bytes))

    def _read_dpi_from_exif(self) -> None:
        """Leave the resolution alone: nobody asks for it, and reading it warns of a damaged EXIF block."""


def refuse_end(data: bytes) -> bytes:
    """Return what was read of a file whose end has not come.

    Raises:
        OSError: nothing. Where a program has set LOAD_TRUNCATED_IMAGES, Pillow would fill up what is missing.
    """
    if not data:
        raise OSError("image file is truncated")
    return data
