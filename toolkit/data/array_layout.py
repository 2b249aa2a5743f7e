"""How an array holds pictures: the model's own size decides between one picture, a batch and flattened rows.

Shapes: N pictures, H rows, W columns, c channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
"""

from __future__ import annotations

__all__ = ["ArrayLayout", "as_batch", "check_type", "expected_bits", "find_layout"]

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.errors import DataError
from toolkit.imaging.settings import MAX_PIXELS

CHANNELS = (1, 2, 3, 4)
# With these channels first or last an array is told at sight; pixels with alpha are rare, and hardly ever come first.
USUAL_CHANNELS = (1, 3)
ANY_MODEL = "[N, H, W], [N, H, W, 1], [N, H, W, 3], [N, 1, H, W] or [N, 3, H, W]"


class ArrayLayout(NamedTuple):
    """Where an array's pictures are.

    Attributes:
        num_pictures: N.
        stored: shape of one of them as the array has it; flattened it is `(H * W,)`.
        shape: shape of one of them as it is taken: `(H, W)`, or `(H, W, c)` with 2 to 4 channels.
        channels_first: whether `stored` is `(c, H, W)`.
    """

    num_pictures: int
    stored: tuple[int, ...]
    shape: tuple[int, ...]
    channels_first: bool = False

    @property
    def is_flattened(self) -> bool:
        """Whether a picture's rows lie in one axis."""
        return len(self.stored) == 1

    def view(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return neighbouring pictures as `[n, H, W]` or `[n, H, W, c]`, a view.

        Args:
            values: the whole array, or `[n, *stored]` of it.
        """
        # Where there is no picture, its size may be 0.
        pictures = values.reshape(values.size // max(1, math.prod(self.stored)), *self.stored)
        if self.channels_first:
            pictures = pictures.transpose(0, 2, 3, 1)
        return pictures.reshape(len(pictures), *self.shape)


def as_batch(array: npt.NDArray[Any], *, name: str, spec: InputSpec | None = None) -> npt.NDArray[Any]:
    """Return an array's pictures as `[N, H, W]` or `[N, H, W, c]`, a view.

    Raises:
        DataError: as `check_type` and `find_layout`.
    """
    check_type(array.dtype, name=name)
    return find_layout(array.shape, name=name, spec=spec).view(array)


def check_type(dtype: np.dtype[Any], *, name: str) -> None:
    """Refuse what cannot be pixels.

    Raises:
        DataError: a dtype that is not a real number.
    """
    if dtype.kind not in "biuf":
        raise DataError(f"{name} holds {dtype}; expected uint8, or whole numbers from 0 to 255")


def expected_bits(dtype: np.dtype[Any], spec: InputSpec | None) -> int | None:
    """Return the depth of the pictures that a model was trained on, for numbers as wide as a deep picture's file."""
    return spec.known_bits if spec is not None and dtype.kind == "u" and dtype.itemsize == 2 else None


def find_layout(
    shape: tuple[int, ...], *, name: str, spec: InputSpec | None = None, is_set: bool = False
) -> ArrayLayout:
    """Tell where the pictures of an array are, or refuse it with the reshape to make; a count is never guessed.

    With a model, what has its size is what its size says: for 28x28 grey `[28, 28, 1]` and `[28, 28, 4]` are one
    picture, `[28, 28, 28]` are 28 and `[20, 784]` are 20, but `[784, 784]` could be either; `[3, 28, 28]` is one
    picture for an RGB model and three for a grey one. Pictures of other sizes are `[H, W]`, `[H, W, c]`, `[N, H, W]`,
    `[N, H, W, c]`, `[N, c, H, W]`. Without a model the first of three axes is the count.

    Args:
        shape: of the whole array.
        name: what the array is called.
        spec: what the model takes, where there is one.
        is_set: whether it is a data set, which is no single picture.

    Raises:
        DataError: it cannot be told, or the pictures have no pixel or too many.
    """
    readers = {3: _read_3, 4: _read_4} if is_set else {1: _read_1, 2: _read_2, 3: _read_3, 4: _read_4}
    layout = readers[len(shape)](shape, spec) if len(shape) in readers else None
    if layout is None:
        raise DataError(f"{name} has shape {list(shape)}; {_expected(spec)}{_reshapes(shape, spec)}")
    height, width = layout.shape[:2]
    if layout.num_pictures and not 0 < height * width <= MAX_PIXELS:
        raise DataError(f"{name} has images of {height}x{width}; expected 1 to {MAX_PIXELS} pixels")
    return layout


def _read_1(shape: tuple[int, ...], spec: InputSpec | None) -> ArrayLayout | None:
    return _rows(1, spec) if spec is not None and spec.channels == 1 and shape[0] == _area(spec) else None


def _read_2(shape: tuple[int, ...], spec: InputSpec | None) -> ArrayLayout | None:
    # Of flattened RGB nobody knows the order: there two axes are one grey picture.
    if spec is not None and spec.channels == 1 and shape != _size(spec):
        area = _area(spec)
        # Columns of pixels, rows with a label before them, or of pictures in colour: no picture is as long as that.
        if shape[0] == area or shape[1] in {area + 1, 3 * area, 4 * area}:
            return None
        if shape[1] == area:
            return _rows(shape[0], spec)
    return ArrayLayout(1, shape, shape)


def _read_3(shape: tuple[int, ...], spec: InputSpec | None) -> ArrayLayout | None:
    is_picture = shape[2] in CHANNELS
    if spec is not None:
        # Flattened pictures with an axis of their one channel; with any other axis between nobody knows what it counts.
        if spec.channels == 1 and shape[1:] in {(1, _area(spec)), (_area(spec), 1)}:
            return _rows(shape[0], spec)
        if spec.channels == 1 and shape[2] == _area(spec):
            return None
        is_first = spec.channels == 3 and shape[0] == 3
        if shape[1:] == _size(spec) or (is_first and not is_picture):
            return _channels_first(1, shape) if is_first else ArrayLayout(shape[0], shape[1:], shape[1:])
        if is_picture:
            return _channels_last(1, shape)
        if shape[:2] == _size(spec):  # a stack with its count last
            return None
    return ArrayLayout(shape[0], shape[1:], shape[1:])


def _read_4(shape: tuple[int, ...], spec: InputSpec | None) -> ArrayLayout | None:
    count, first, _, last = shape
    is_last, is_first = last in CHANNELS, first in CHANNELS
    # `[N, 3, 4, 3]`, say: both ends could be channels. The model's size tells, else what channels usually are.
    if is_last and is_first and spec is not None:
        is_last, is_first = shape[1:3] == _size(spec), shape[2:] == _size(spec)
    if is_last and is_first:
        is_last, is_first = last in USUAL_CHANNELS, first in USUAL_CHANNELS
    if is_last == is_first:  # neither, or still both: a count is never guessed
        return None
    return _channels_last(count, shape[1:]) if is_last else _channels_first(count, shape[1:])


def _rows(count: int, spec: InputSpec) -> ArrayLayout:
    return ArrayLayout(count, (_area(spec),), _size(spec))


def _channels_last(count: int, stored: tuple[int, ...]) -> ArrayLayout:
    return ArrayLayout(count, stored, stored[:2] if stored[2] == 1 else stored)


def _channels_first(count: int, stored: tuple[int, ...]) -> ArrayLayout:
    channels, *size = stored
    return ArrayLayout(count, stored, (*size,) if channels == 1 else (*size, channels), channels_first=True)


def _size(spec: InputSpec) -> tuple[int, int]:
    return spec.height, spec.width


def _area(spec: InputSpec) -> int:
    return spec.height * spec.width


def _expected(spec: InputSpec | None) -> str:
    if spec is None:
        return f"expected {ANY_MODEL}"
    size = f"{spec.height}, {spec.width}"
    if spec.channels == 3:
        return f"the model takes [{size}, 3], [N, {size}, 3] or [N, 3, {size}]"
    return f"the model takes [{size}], [N, {size}], [N, {size}, 1], [N, 1, {size}] or [N, {_area(spec)}]"


def _reshapes(shape: tuple[int, ...], spec: InputSpec | None) -> str:
    """Return the ways to make pictures of an array, each as a call with the count that it gives."""
    total = math.prod(shape)
    if spec is None or not total:
        side = math.isqrt(shape[-1]) if len(shape) == 2 else 0
        return f"; flattened pictures: reshape(-1, {side}, {side})" if side > 1 and side * side == shape[-1] else ""
    area, size = _area(spec), f"{spec.height}, {spec.width}"
    if len(shape) == 2 and shape[1] == area + 1:
        return "; leave out the column of labels: array[:, 1:] or array[:, :-1]"
    if len(shape) == 2 and shape[0] == area:
        rows = f"reshape(-1, {size}) makes {area}" if shape[1] == area else f"array.T are {shape[1]} flattened pictures"
        return f"; {rows}, array[None] is one of {shape[0]}x{shape[1]}"
    if len(shape) > 2 and shape[:2] == _size(spec):
        axes = ", ".join(map(str, (len(shape) - 1, *range(len(shape) - 1))))
        return f"; where the count comes last, transpose({axes}) makes {shape[-1]}"
    ways = []
    if spec.channels == 1 and total != 3 * area and _is_joined(shape, area):
        ways.append(f"reshape(-1, {size}) makes {total // area}")
    if _is_joined(shape, 3 * area):
        count = total // (3 * area)
        ways.append(f"reshape(-1, {size}, 3) makes {count} in colour, reshape(-1, 3, {size}) where channels come first")
    return "".join(f"; {way}" for way in ways)


def _is_joined(shape: tuple[int, ...], values: int) -> bool:
    """Tell whether pictures of so many values lie one after another, so that a reshape tears none apart."""
    # What lies one after another fills some of the last axes; a single axis may be cut into any equal parts.
    tails = (math.prod(shape[start:]) for start in range(len(shape)))
    return shape[0] % values == 0 if len(shape) == 1 else values in tails
