"""An image file's bytes, judged before and while they are decoded."""

from __future__ import annotations

__all__ = [
    "FORMATS",
    "Decoded",
    "ImageHeader",
    "decode_image",
    "decode_opened",
    "read_image_header",
    "see_depth",
]

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.errors import DataError
from toolkit.imaging.codecs.picture import refuse_dark_colour
from toolkit.imaging.formats import FORMATS, check_size, load_pixels, open_picture, verify_checksums
from toolkit.imaging.metadata import read_metadata
from toolkit.imaging.pixel_values import Depth, flatten_image, is_deep_mode, is_grey_mode
from toolkit.imaging.png import PNG_SIGNATURE, decode_plain_png
from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.regular_file import open_regular, read_regular

# By EXIF's number: how rows and columns of the upright picture, after a quarter turn or without, run backwards.
BACKWARDS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
# Numbers of a picture from which on what is left of decoding it is worth a look.
LARGE = 8_000_000
# PNG's colour types with more than grey, of which 16 bits are not kept.
DEEP_COLOUR = (2, 4, 6)
# Of these, the picture is turned by a quarter: its height and width change places.
QUARTER_TURNS = range(5, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """An image as plain pixels.

    Attributes:
        pixels: uint8 `[H, W]` (grey) or `[H, W, 3]` (RGB).
        notes: what was done to get there, in words; empty where nothing was.
        damage: those of the notes that speak of broken metadata.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What a file's header promises; `decode_image` may still find the rest damaged.

    Attributes:
        height: rows in pixels, after EXIF rotation.
        width: columns in pixels, after EXIF rotation.
        is_grey: whether the pixels are decoded as `[H, W]` rather than `[H, W, 3]`.
        is_deep: whether its numbers are wider than bytes.
        format: Pillow's word for the file's format, such as `PNG`.
    """

    height: int
    width: int
    is_grey: bool
    is_deep: bool = False
    format: str = ""


def read_image_header(source: bytes | str | Path, *, name: str | None = None) -> ImageHeader:
    """Read an image's size and kind; no pixel is decoded.

    Args:
        source: the file's bytes, or the path of a regular file.
        name: what the image is called in messages; the path by default.

    Raises:
        DataError: as `decode_image`, as far as the header tells.
    """
    title = _title_of(source, name)
    with _open_source(source, title) as stream:
        if not stream.read(1):
            raise DataError(f"{title} is empty (0 bytes); expected an image")
        stream.seek(0)
        with _failures_named(title), open_picture(stream, name=title) as image:
            width, height = image.size
            if read_metadata(image.info).orientation in QUARTER_TURNS:
                width, height = height, width
            return ImageHeader(
                height=height,
                width=width,
                is_grey=is_grey_mode(image.mode),
                is_deep=is_deep_mode(image.mode),
                format=image.format or "",
            )


def decode_image(
    source: bytes | str | Path,
    *,
    name: str | None = None,
    bits: int | None = None,
    reserve: Callable[[int], object] | None = None,
) -> Decoded:
    """Decode one still image: PNG, JPEG, BMP, GIF, WebP, TIFF (one page), PBM, PGM, PPM.

    EXIF rotation is applied, 16-bit grey and transparency are flattened (see `flatten_image`). Metadata
    is not pixels: what is damaged in it is left out, with a note. Nothing of the process is changed, not even for a
    moment: any number of threads may decode.

    Args:
        source: the file's bytes, or the path of a regular file.
        name: what the image is called in messages; the path by default.
        bits: depth of the pictures that it belongs to, where its numbers are wider than bytes; None: it stands alone.
        reserve: called with the bytes of memory that decoding it takes, before any of them is taken; not for a small
            plain PNG.

    Raises:
        DataError: not a regular file, unreadable, empty, over 128 MiB or 65 million pixels (judged from the header,
            before any pixel is decoded), of another format, animated, truncated, damaged.
    """
    title = _title_of(source, name)
    data = source if isinstance(source, bytes) else read_regular(source, most_bytes=MAX_FILE_BYTES, name=title)
    if not data:
        raise DataError(f"{title} is empty (0 bytes); expected an image")
    decoded = _decode_data(data, title, bits=bits, reserve=reserve)
    if decoded.pixels.size >= LARGE:
        _release_memory()
    return decoded


def _decode_data(data: bytes, title: str, *, bits: int | None, reserve: Callable[[int], object] | None) -> Decoded:
    if data.startswith(PNG_SIGNATURE) and (plain := decode_plain_png(data, bits=bits)) is not None:
        return Decoded(pixels=plain[0], notes=plain[1])
    with _failures_named(title):
        if data.startswith(PNG_SIGNATURE):
            verify_checksums(data, name=title)
        with open_picture(BytesIO(data), name=title, reserve=reserve) as image:
            load_pixels(image, num_bytes=len(data), name=title)
            decoded = _finish(image, bits=bits, file_bytes=len(data))
            _check_deep_colour(data, decoded.pixels, name=title)
            return decoded


def see_depth(source: bytes | str | Path, depth: Depth, *, name: str | None = None) -> None:
    """Look at the numbers of one picture of many that have one depth.

    Args:
        source: the file's bytes, or the path of a regular file.
        depth: sees them.
        name: what the image is called in messages; the path by default.

    Raises:
        DataError: as `decode_image`.
    """
    title = _title_of(source, name)
    data = source if isinstance(source, bytes) else read_regular(source, most_bytes=MAX_FILE_BYTES, name=title)
    with _failures_named(title), open_picture(BytesIO(data), name=title) as image:
        load_pixels(image, num_bytes=len(data), name=title)
        depth.see(np.asarray(image))


def decode_opened(image: Image.Image, *, name: str) -> Decoded:
    """Take a picture that a program has opened or made with Pillow, in any of its modes; as `decode_image`.

    Args:
        image: left as it is, but for being loaded.
        name: what it is called in messages.

    Raises:
        DataError: over 65 million pixels, truncated, damaged, closed.
    """
    check_size(*image.size, name=name)
    with _failures_named(name):
        try:
            image.load()
        except (AssertionError, ValueError) as error:  # Pillow's, where there is no file or no memory to read from
            if getattr(getattr(image, "fp", None), "closed", True):
                raise DataError(f"{name} is a closed PIL image; give it before it, or its file, is closed") from error
            raise
        return _finish(image)


def _open_source(source: bytes | str | Path, title: str) -> BinaryIO:
    return BytesIO(source) if isinstance(source, bytes) else open_regular(source, most_bytes=MAX_FILE_BYTES, name=title)


def _title_of(source: bytes | str | Path, name: str | None) -> str:
    return name or ("the image" if isinstance(source, bytes) else str(source))


def _finish(image: Image.Image, *, bits: int | None = None, file_bytes: int | None = None) -> Decoded:
    orientation, damage = read_metadata(image.info, file_bytes=file_bytes)
    turned: tuple[str, ...] = ()
    pixels, notes = flatten_image(image, bits=bits)
    if orientation in BACKWARDS:
        rows, columns = BACKWARDS[orientation]
        # Mirrored on its diagonal, then turned over: the pixels, not what they were decoded from, which is larger.
        upright = pixels.swapaxes(0, 1) if orientation in QUARTER_TURNS else pixels
        pixels = np.ascontiguousarray(upright[::rows, ::columns])
        turned = ("turned as its EXIF says",)
    return Decoded(pixels=pixels, notes=(*turned, *damage, *notes), damage=damage)


def _check_deep_colour(data: bytes, pixels: npt.NDArray[np.uint8], *, name: str) -> None:
    # Of a PNG's 16-bit colour Pillow gives the upper bytes only.
    if data.startswith(PNG_SIGNATURE) and data[24] == 16 and data[25] in DEEP_COLOUR:
        refuse_dark_colour(pixels, name=name)


def _release_memory() -> None:
    """Hand what is free back to the system.

    Pillow's blocks of 16 MB stay with the thread that freed them: glibc keeps them for its next picture; sixteen
    threads, one after the other, held sixteen photographs.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)


@contextmanager
def _failures_named(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one DataError."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except SyntaxError as error:
        raise DataError(f"{name} is damaged: its header cannot be read; get the file again") from error
    except Exception as error:
        raise DataError(f"{name} is damaged: {error or type(error).__name__}; get the file again") from error
