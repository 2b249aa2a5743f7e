"""An image file's bytes, judged before and while they are decoded."""

from __future__ import annotations

__all__ = [
    "FORMATS",
    "IMAGE_ENDINGS",
    "Decoded",
    "ImageHeader",
    "decode_image",
    "prefer_fast_decoder",
    "read_image_header",
]

import os
import stat
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from toolkit.errors import DataError
from toolkit.imaging.density import check_density
from toolkit.imaging.flatten import flatten_image, is_grey_mode
from toolkit.imaging.limits import MAX_FILE_BYTES, MAX_PIXELS
from toolkit.imaging.plain_png import PNG_SIGNATURE, decode_plain_png, prefer_fast_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import numpy as np
    import numpy.typing as npt

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
# Non-blocking: a FIFO must not wait for its writer.
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"RIFF")
WEBP_HEADER_BYTES = 30
TURNING_ORIENTATIONS = range(2, 9)
# Of these, the picture is turned by a quarter: its height and width change places.
QUARTER_TURNS = range(5, 9)
HEAD_BYTES = 64
# Importing the plugins registers them; for one that is missing, Pillow would import all of its forty.
_PLUGINS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """An image as plain pixels.

    Attributes:
        pixels: uint8 `[H, W]` (grey) or `[H, W, 3]` (RGB).
        notes: what was done to get there, in words; empty where nothing was.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What a file's header promises; `decode_image` may still find the rest damaged.

    Attributes:
        height: rows in pixels, after EXIF rotation.
        width: columns in pixels, after EXIF rotation.
        is_grey: whether the pixels are decoded as `[H, W]` rather than `[H, W, 3]`.
    """

    height: int
    width: int
    is_grey: bool


def read_image_header(path: Path) -> ImageHeader:
    """Read an image's size and kind; no pixel is decoded.

    Raises:
        DataError: as `decode_image`, as far as the header tells.
    """
    with _open_regular(path, name=str(path)) as stream:
        head = stream.read(HEAD_BYTES)
        if not head:
            raise DataError(f"{path} is empty (0 bytes); expected an image")
        stream.seek(0)
        with _failures_named(str(path), head):
            _check_webp_canvas(head, name=str(path))
            with Image.open(stream, formats=FORMATS) as image:
                _check_header(image, name=str(path))
                width, height = image.size
                if image.getexif().get(ExifTags.Base.Orientation, 1) in QUARTER_TURNS:
                    width, height = height, width
                return ImageHeader(height=height, width=width, is_grey=is_grey_mode(image.mode))


def decode_image(source: bytes | str | Path, *, name: str | None = None) -> Decoded:
    """Decode one still PNG, JPEG, BMP, GIF or WebP image.

    EXIF rotation is applied, 16-bit grey is divided by 256, transparency is flattened (see `flatten_image`).

    Args:
        source: the file's bytes, or the path of a regular file.
        name: what the image is called in messages; the path by default.

    Raises:
        DataError: not a regular file, unreadable, empty, over 128 MiB or 40 million pixels (judged from the header,
            before any pixel is decoded), of another format, animated, truncated, damaged.
    """
    title = name or ("the image" if isinstance(source, bytes) else str(source))
    data = source if isinstance(source, bytes) else _read_regular(source, name=title)
    if not data:
        raise DataError(f"{title} is empty (0 bytes); expected an image")
    if data.startswith(PNG_SIGNATURE) and (plain := decode_plain_png(data)) is not None:
        return Decoded(pixels=plain[0], notes=plain[1])
    with _failures_named(title, data):
        _check_webp_canvas(data, name=title)
        if data.startswith(PNG_SIGNATURE):
            _verify_checksums(data, name=title)
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _check_header(image, name=title)
            check_density(image, num_bytes=len(data), name=title)
            image.load()
            is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) in TURNING_ORIENTATIONS
            ImageOps.exif_transpose(image, in_place=True)
            pixels, notes = flatten_image(image)
            return Decoded(pixels=pixels, notes=("turned as its EXIF says", *notes) if is_turned else notes)


def _read_regular(path: str | Path, *, name: str) -> bytes:
    # Not through a stream, and for as many bytes as there are: for a small file that costs a third.
    try:
        descriptor = os.open(path, OPEN_FLAGS)
        try:
            size_bytes = _check_regular(descriptor, name=name)
            data = os.read(descriptor, size_bytes)
            while len(data) < size_bytes and (more := os.read(descriptor, size_bytes - len(data))):
                data += more
            return data
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise DataError(f"cannot read {name}: {reason}") from error


def _check_regular(descriptor: int, *, name: str) -> int:
    """Return an open file's size in bytes; judged by the descriptor, so nothing can be swapped."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{name} is not a regular file; expected an image")
    if status.st_size > MAX_FILE_BYTES:
        raise DataError(f"{name} has {status.st_size} bytes; the most for an image is {MAX_FILE_BYTES}")
    return status.st_size


@contextmanager
def _open_regular(path: Path, *, name: str) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(path, OPEN_FLAGS)
        with os.fdopen(descriptor, "rb") as stream:
            _check_regular(descriptor, name=name)
            yield stream
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror or error}") from error


@contextmanager
def _failures_named(name: str, data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises or warns of into one DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("error", RuntimeWarning)
            yield
    except (DataError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name} is too large: {error}; the most is {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError as error:
        if data.startswith(SIGNATURES):
            raise DataError(f"{name} is damaged: its header cannot be read; get the file again") from error
        known = ", ".join(FORMATS)
        raise DataError(f"{name}: format not allowed; by its content it is none of {known}") from error
    except Exception as error:
        raise DataError(f"{name} is damaged: {error or type(error).__name__}; get the file again") from error


def _check_webp_canvas(data: bytes, *, name: str) -> None:
    # libwebp reserves two canvases as soon as it is opened, before Pillow can see the size.
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X" and len(data) >= WEBP_HEADER_BYTES:
        width = 1 + int.from_bytes(data[24:27], "little")
        height = 1 + int.from_bytes(data[27:30], "little")
        _check_size(width, height, name=name)


def _check_header(image: Image.Image, *, name: str) -> None:
    _check_size(*image.size, name=name)
    # A phone's JPEG may carry a second picture (MPO): the first is the photograph.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise DataError(f"{name} is animated; expected one still image")


def _check_size(width: int, height: int, *, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise DataError(f"{name} has {width}x{height} pixels; the most is {MAX_PIXELS}")


def _verify_checksums(data: bytes, *, name: str) -> None:
    # Pillow skips the checksums of pixel data when it loads a PNG; verify() reads them all and spoils the object.
    with Image.open(BytesIO(data), formats=("PNG",)) as image:
        _check_header(image, name=name)
        image.verify()
