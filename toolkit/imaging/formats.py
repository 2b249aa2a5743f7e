"""The formats that are read, each opened by its own decoder: Pillow's, or one of `codecs`.

`PIL.Image.open` and Pillow's reading of EXIF warn of damaged metadata. Warnings and Pillow's switches
(`MAX_IMAGE_PIXELS`, `LOAD_TRUNCATED_IMAGES`) belong to the whole process, and so to the program around us: filters that
one thread puts back are another thread's filters. So nothing is called here that warns, and no switch is read or set.
"""

from __future__ import annotations

__all__ = ["FORMATS", "check_size", "load_pixels", "open_picture", "verify_checksums"]

from collections.abc import Callable
from io import BytesIO
from typing import Any, BinaryIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from toolkit.errors import DataError
from toolkit.imaging.codecs.jpeg import JpegPicture, refuse_end
from toolkit.imaging.codecs.picture import OwnPicture
from toolkit.imaging.endings import LeftOut
from toolkit.imaging.png import PNG_SIGNATURE
from toolkit.imaging.settings import MAX_PIXELS

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PNM")
WEBP_HEADER_BYTES = 30
# Of memory for a pixel, at most: Pillow keeps four bytes of colour and three are made of them; libwebp's canvases, or
# samples of our own before they are Pillow's.
DECODER_BYTES, LARGE_DECODER_BYTES = 8, 13
MOST_FRAMES = 0x80000000  # of an animated PNG, for Pillow
# At the very best, on a picture of one colour: deflate packs 1,032 bytes into one (zlib's technical details, "Maximum
# Compression Factor"), each of eight pixels; JPEG's blocks of 8x8 pixels take a bit at least, as no Huffman code is
# shorter (ITU-T T.81, annexes F and G); a GIF's code of 12 bits stands for at most 3,838 pixels once its table is full
# (the 4,096 codes without the first 258); a BMP takes a bit for each, but where runs are packed: those may skip any
# number.
MOST_PIXELS_PER_BYTE = {"PNG": 8 * 1032, "JPEG": 512, "GIF": 2560, "BMP": 8}
BMP_UNPACKED = (0, 3)  # BI_RGB, BI_BITFIELDS


def open_picture(stream: BinaryIO, *, name: str, reserve: Callable[[int], object] | None = None) -> ImageFile:
    """Open the still picture of an allowed format that a stream holds; judged by its header, no pixel is decoded.

    A second picture of the same file (a phone's JPEG) is not looked at.

    Args:
        stream: at its start; has to stay open as long as the picture.
        name: what the picture is called in messages.
        reserve: called with the bytes of memory that decoding it takes, before any of them is taken.

    Raises:
        DataError: of another format, over 65 million pixels, animated.
        Exception: of any kind, where the header is damaged.
    """
    head = stream.read(WEBP_HEADER_BYTES)
    stream.seek(0)
    # libwebp reserves two canvases as soon as it is opened, before Pillow can see the size.
    width, height = _webp_size(head)
    check_size(width, height, name=name)
    if reserve is not None and width:
        reserve(width * height * LARGE_DECODER_BYTES)
    image = _open(stream, head, name=name)
    check_size(*image.size, name=name)
    if getattr(image, "is_animated", False):
        raise DataError(f"{name} is animated; expected one still image")
    if reserve is not None and not width:
        each = LARGE_DECODER_BYTES if isinstance(image, OwnPicture) else DECODER_BYTES
        reserve(image.size[0] * image.size[1] * each)
    return image


def check_size(width: int, height: int, *, name: str) -> None:
    """Refuse too large a picture.

    Raises:
        DataError: over 65 million pixels.
    """
    if width * height > MAX_PIXELS:
        raise DataError(f"{name} has {height}x{width} pixels; the most is {MAX_PIXELS}")


def load_pixels(image: ImageFile, *, num_bytes: int, name: str) -> None:
    """Decode what `open_picture` opened.

    Args:
        image: decoded in place.
        num_bytes: size of its file.
        name: what it is called in messages.

    Raises:
        DataError: it claims more pixels than so many bytes can hold; told before memory is taken.
        Exception: of any kind, where the pixels are damaged.
    """
    # Memory is taken for all that a header claims, and the decoders of some fill up what a file lacks (PNG: whole rows;
    # GIF: all after its end mark) without an error.
    most = num_bytes * _most_pixels_per_byte(image)
    width, height = image.size
    if width * height > most:
        raise DataError(
            f"{name} is damaged or cut off: it claims {height}x{width} pixels in a file of {num_bytes} bytes, which "
            f"holds {most} at most; get the file again"
        )
    image.load()


def _most_pixels_per_byte(image: ImageFile) -> int:
    if isinstance(image, OwnPicture):
        return image.most_pixels_per_byte
    if image.format == "BMP" and image.info.get("compression") not in BMP_UNPACKED:
        return MAX_PIXELS
    return MOST_PIXELS_PER_BYTE.get(image.format or "", MAX_PIXELS)


def verify_checksums(data: bytes, *, name: str) -> None:
    """Compare all checksums of a PNG file, of which Pillow skips those of the pixels when it loads them.

    Raises:
        DataError: as `open_picture`.
        Exception: of any kind, where one does not hold.
    """
    with open_picture(BytesIO(data), name=name) as image:
        image.verify()


def _webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height as the head of a WebP file says them, in one of three ways; (0, 0) of another file."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < WEBP_HEADER_BYTES:
        return 0, 0
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


# How phones' pictures begin, behind four bytes of a length; messengers give them a name in .jpg.
_HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc")


def _open(stream: BinaryIO, head: bytes, *, name: str) -> ImageFile:
    if head.startswith(PNG_SIGNATURE):
        return _Png(_without_broken_animation(stream))
    for magics, reader in _READERS.items():
        if head.startswith(magics):
            return reader(stream, name)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return _WebP(stream)
    if (rare := _open_rare(stream, head, name=name)) is not None:
        return rare
    step = LeftOut([name]).step
    if not step and head[4:12] in _HEIC:
        step = "; it is HEIC under another name: rename it to .heic, and convert it to PNG or JPEG"
    raise DataError(f"{name}: format not allowed; by its content it is none of {', '.join(FORMATS)}{step}")


def _open_rare(stream: BinaryIO, head: bytes, *, name: str) -> ImageFile | None:
    """Open a TIFF or a PNM file; their decoders, which other pictures do not need, are loaded here."""
    from toolkit.imaging.codecs.pnm import PnmPicture, is_pnm
    from toolkit.imaging.codecs.tiff import TIFF_MAGICS, TiffPicture

    if head.startswith(TIFF_MAGICS):
        return TiffPicture(stream, name)
    return PnmPicture(stream, name) if is_pnm(head) else None


class _Png(PngImageFile):
    def load_read(self, read_bytes: int) -> bytes:
        return refuse_end(super().load_read(read_bytes))


class _Gif(GifImageFile):
    def load_read(self, read_bytes: int) -> bytes:
        assert self.fp is not None
        return refuse_end(self.fp.read(read_bytes))


class _WebP(WebPImageFile):
    def load(self) -> Any:
        if self._im is None:
            data, *_ = self._get_next()
            # It holds two canvases, of a large photograph half a gigabyte.
            self._decoder = None
            self.im = Image.frombytes(self.mode, self.size, data, "raw", self.rawmode).im
        return Image.Image.load(self)


class _Bmp(BmpImageFile):
    def load_read(self, read_bytes: int) -> bytes:
        assert self.fp is not None
        return refuse_end(self.fp.read(read_bytes))


_READERS: dict[tuple[bytes, ...], type[ImageFile]] = {
    (b"\xff\xd8\xff",): JpegPicture,
    (b"BM",): _Bmp,
    (b"GIF87a", b"GIF89a"): _Gif,
}


def _without_broken_animation(stream: BinaryIO) -> BinaryIO:
    """Return a PNG file without an `acTL` chunk that says nothing: of no frames, or one of two; Pillow warns of it."""
    counts: list[tuple[int, int, int]] = []
    place = len(PNG_SIGNATURE)
    while True:
        stream.seek(place)
        head = stream.read(12)
        if len(head) < 12 or head[4:8] == b"IDAT":
            break
        end = place + 12 + int.from_bytes(head[:4])
        if head[4:8] == b"acTL":
            counts.append((place, end, int.from_bytes(head[8:12])))
        place = end
    stream.seek(0)
    if not counts or (len(counts) == 1 and 0 < counts[0][2] <= MOST_FRAMES):
        return stream
    data = bytearray(stream.read())
    for begin, end, _ in reversed(counts):
        del data[begin:end]
    return BytesIO(data)
