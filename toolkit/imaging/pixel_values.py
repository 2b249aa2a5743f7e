"""Numbers to bytes, Pillow's many modes to grey or RGB: what values mean, settled for all pictures of one kind.

A file of 16 bits often holds fewer: cameras and scanners write their 10, 12 or 14 bits as they are, and programs store
bytes in 16. Read as 16 bits such pictures are nearly black, and a training set of them is a few shades of it. So whole
numbers have the fewest of 8, 10, 12, 14 and 16 bits that hold the largest of them, and their upper eight bits are kept.
Bytes that were widened to 16 bits (every value times 257) are told by that, however dark the picture.

Shapes: H rows, W columns, c channels.
"""

from __future__ import annotations

__all__ = [
    "WITH_ALPHA",
    "Depth",
    "flatten_image",
    "flatten_layers",
    "is_deep_mode",
    "is_grey_mode",
    "read_rows",
    "refuse_unit_scale",
    "strips",
    "to_pixels",
]

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from toolkit.card import BYTE_BITS, DEPTHS
from toolkit.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

BRIGHTEST, LARGEST = (1 << BYTE_BITS) - 1, (1 << DEPTHS[-1]) - 1
WIDENED = LARGEST // BRIGHTEST  # 257: 0xAB becomes 0xABAB
# Channels, as they end the shape of pictures: grey or RGB, and alpha.
WITH_ALPHA = {(2,), (4,)}
OPAQUE = 255
# A photograph is gone through in strips of about so many pixels: copies and wide numbers are made of one at a time.
STRIP_PIXELS = 1 << 20
MIDDLE = 127.5
# Of Pillow: whole numbers wider than bytes, and what is one channel of bytes or bits, with alpha or without.
DEEP_MODES = {"I;16", "I;16B", "I;16L", "I;16N", "I"}
GREY_MODES = {"1", "L", "LA", "La"}


class Depth:
    """The depth of pictures that belong together: all of an array, a folder, a data set.

    Attributes:
        highest: the largest value seen.
        is_deep: whether whole numbers wider than bytes were among them.
    """

    def __init__(self) -> None:
        self.highest = 0
        self.is_deep = False
        self._is_widened = True

    def see(self, values: npt.NDArray[Any]) -> None:
        """Look at the values of more pictures; only whole numbers wider than bytes tell anything."""
        if values.dtype.kind not in "iu" or values.dtype.itemsize == 1 or not values.size:
            return
        self.is_deep = True
        highest = int(values.max())
        self.highest = max(self.highest, highest)
        # What is larger is of 16 bits anyway.
        if self._is_widened and highest < 1 << DEPTHS[-2]:
            self._is_widened = not (values % WIDENED).any()

    def bits(self, expected: int | None = None) -> int:
        """Return how many bits the numbers have.

        Args:
            expected: depth of the pictures that these belong to, where it is known: taken where it holds the largest.
        """
        if expected is not None and self.highest < 1 << expected:
            return expected
        if self._is_widened and self.highest > BRIGHTEST:
            return DEPTHS[-1]
        return next((bits for bits in DEPTHS if self.highest < 1 << bits), DEPTHS[-1])

    def describe(self, bits: int) -> str:
        """Say what the numbers are taken for where that is not what their width says; "" else."""
        return f"values end at {self.highest:,}: taken for {bits}-bit" if bits < DEPTHS[-1] and self.is_deep else ""


def to_pixels(values: npt.NDArray[Any], *, bits: int | None = None) -> tuple[npt.NDArray[np.uint8], str]:
    """Return one picture's values as uint8 `[H, W]` or `[H, W, 3]`, and what was done, in words.

    Args:
        values: `[H, W]` or `[H, W, c]` (2 or 4 channels: the last is alpha): bool (becomes 0 and 255), whole numbers
            from 0 to 65,535, or floating-point numbers that are whole, from 0 to 255.
        bits: depth of the whole numbers; None: as this picture tells it alone.

    Raises:
        DataError: a value is not finite, not whole, or out of range.
    """
    pixels, note = _to_bytes(values, bits)
    if values.shape[2:] in WITH_ALPHA:
        pixels, notes = flatten_layers(pixels)
        note = "; ".join(filter(None, (note, *notes)))
    return pixels, note


def flatten_image(image: Image.Image, *, bits: int | None = None) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Return an image's pixels without transparency, palette or extra depth.

    Numbers wider than bytes keep the upper eight of the bits that they have (see `Depth`; Pillow's own conversion would
    clip every value over 255). Transparency is laid over white, or over black where the visible pixels are mostly
    light, so that ink stays visible on its background.

    Args:
        image: of any mode.
        bits: depth of the pictures that it belongs to; None where it stands alone. Not used where it is too small.

    Returns:
        uint8 `[H, W]` or `[H, W, 3]`, and what was done, in words.

    Raises:
        DataError: numbers that are no pixels.
    """
    if image.mode in DEEP_MODES:
        return _flatten_deep(read_rows(image, image.mode), bits)
    if image.mode == "F":
        values = read_rows(image, "F")
        refuse_unit_scale(values, name="the image's")
        return to_pixels(values)[0], ("mode F converted to grey",)
    if image.has_transparency_data:
        return flatten_layers(read_rows(image, "LA" if image.mode in GREY_MODES else "RGBA"))
    if image.mode in GREY_MODES:
        notes = () if image.mode == "L" else (f"mode {image.mode} converted to grey",)
        return read_rows(image, "L"), notes
    notes = () if image.mode == "RGB" else (f"mode {image.mode} converted to RGB",)
    return read_rows(image, "RGB"), notes


def read_rows(image: Image.Image, mode: str) -> npt.NDArray[Any]:
    """Return `numpy.array(image.convert(mode))` without its two copies of the whole; writable."""
    width, height = image.size
    if width * height <= STRIP_PIXELS:
        return np.array(_convert(image, mode))
    pixels: npt.NDArray[Any] | None = None
    for rows in strips((height, width)):
        strip = np.asarray(_convert(image.crop((0, rows.start, width, rows.stop)), mode))
        if pixels is None:
            pixels = np.empty((height, *strip.shape[1:]), strip.dtype)
        pixels[rows] = strip
    assert pixels is not None
    return pixels


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield the rows of pictures of a shape `[H, W, ...]`, neighbouring ones together, a million pixels at a time."""
    height, width = shape[:2]
    rows = max(1, STRIP_PIXELS // max(1, width))
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def _convert(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def flatten_layers(layers: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Lay pixels with an alpha channel over white, or over black where what is visible is mostly light.

    Args:
        layers: uint8 `[H, W, 2]` (grey and alpha) or `[H, W, 4]` (RGB and alpha).

    Returns:
        uint8 `[H, W]` or `[H, W, 3]`, and what was done, in words.
    """
    is_grey = layers.shape[-1] == 2
    colour, alpha = layers[..., :-1], layers[..., -1:]
    if alpha.min() == OPAQUE:
        return np.ascontiguousarray(colour[..., 0] if is_grey else colour), ()
    background = _choose_background(colour, alpha)
    pixels = np.empty(colour.shape, np.uint8)
    for strip in strips(layers.shape):
        # In whole numbers, to the nearest: the same bytes on every machine.
        visible = alpha[strip].astype(np.uint32)
        mixed = colour[strip] * visible + background * (OPAQUE - visible) + OPAQUE // 2
        pixels[strip] = mixed // OPAQUE
    word = "black" if background == 0 else "white"
    return np.ascontiguousarray(pixels[..., 0] if is_grey else pixels), (f"transparency laid over {word}",)


def refuse_unit_scale(values: npt.NDArray[Any], *, name: str) -> None:
    """Refuse floats on the scale from 0 to 1.

    All-zero is black in either scale; anything else up to 1 is taken for the 0-1 scale, never for near-black.

    Raises:
        DataError: they are on it.
    """
    if values.dtype.kind == "f" and values.size and 0 < values.max() <= 1 and values.min() >= 0:
        raise DataError(f"{name} values lie between 0 and 1; multiply them by 255 and round to whole numbers")


def is_grey_mode(mode: str) -> bool:
    """Say whether an image of this Pillow mode is flattened to grey `[H, W]`; the others become RGB `[H, W, 3]`."""
    return mode in GREY_MODES or mode in DEEP_MODES or mode == "F"


def is_deep_mode(mode: str) -> bool:
    """Say whether an image of this Pillow mode has whole numbers wider than bytes."""
    return mode in DEEP_MODES


def _to_bytes(values: npt.NDArray[Any], bits: int | None) -> tuple[npt.NDArray[np.uint8], str]:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values), ""
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(BRIGHTEST), "bool turned into 0 and 255"
    if values.dtype.kind == "f":
        _check_whole(values)
        bits = BYTE_BITS
    elif bits is None:
        depth = Depth()
        depth.see(values)
        bits = depth.bits()
    low, high = values.min(), values.max()
    if low < 0 or high >= 1 << bits:
        mend = _mend_range(values.dtype, low=low, high=high)
        raise DataError(f"the image has values from {low} to {high}; expected 0 to {(1 << bits) - 1:,}; {mend}")
    if bits == BYTE_BITS:
        return values.astype(np.uint8), ""
    return (values >> (bits - BYTE_BITS)).astype(np.uint8), f"{bits}-bit numbers scaled to 8 bits"


def _mend_range(dtype: np.dtype[Any], *, low: Any, high: Any) -> str:
    if low < 0:
        is_view = "; of bytes read as int8 values.view(numpy.uint8) makes them" if dtype == np.int8 else ""
        return f"give them as they were before anything was subtracted{is_view}"
    if dtype.kind == "f":
        return "scale them to that"
    shift = int(high).bit_length() - DEPTHS[-1]
    if shift > 0:
        return f"keep their upper bits: values >> {shift}"
    # Only where an array comes once is its depth told by the first of its pictures.
    return "those before it are smaller, and a tar archive is read once: take the array out of it"


def _check_whole(values: npt.NDArray[Any]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, column, *_ = (int(place) for place in np.argwhere(~finite)[0])
        raise DataError(
            f"the image has {values[row, column]} at row {row}, column {column}; expected whole numbers from 0 to 255"
        )
    if not np.array_equal(values, np.rint(values)):
        first = values[values != np.rint(values)].flat[0]
        raise DataError(f"the image has the value {first}; expected whole numbers from 0 to 255, raw pixels")


def _flatten_deep(values: npt.NDArray[np.integer], bits: int | None) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    depth = Depth()
    depth.see(values)
    chosen = depth.bits(bits)
    pixels, _ = to_pixels(values, bits=chosen)
    said = depth.describe(chosen)
    width = 8 * values.dtype.itemsize
    return pixels, (f"{width}-bit grey whose {said}" if said else "16-bit grey scaled to 8 bits",)


def _choose_background(colour: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> int:
    # Weighted by alpha: what nobody sees has no say, whatever colour its pixels hold.
    visible = int(alpha.sum(dtype=np.int64)) * colour.shape[-1]
    weighted = (colour[strip] * alpha[strip].astype(np.uint32) for strip in strips(colour.shape))
    brightness = sum(int(part.sum(dtype=np.int64)) for part in weighted) / visible if visible else 0.0
    return 0 if brightness > MIDDLE else 255
