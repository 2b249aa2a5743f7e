"""From items to a block: decode, judge the values, fit; whatever cannot be used becomes a reason."""

from __future__ import annotations

__all__ = ["Preparation", "prepare_items"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.errors import DataError
from toolkit.imaging.prepare import prepare_batch, prepare_image
from toolkit.imaging.settings import PrepareSettings
from toolkit.prediction.pipeline.blocks import Block
from toolkit.prediction.sources.items import ArrayItem, ImageItem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from toolkit.card import InputSpec
    from toolkit.imaging.decode import Decoded
    from toolkit.prediction.sources.items import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How pictures are brought to a model; small and picklable.

    Attributes:
        spec: what the model takes.
        settings: what the user wishes otherwise.
    """

    spec: InputSpec
    settings: PrepareSettings = field(default_factory=PrepareSettings)


def prepare_items(
    items: Sequence[Item],
    preparation: Preparation,
    *,
    before: Callable[[], object] | None = None,
    reserve: Callable[[int], object] | None = None,
) -> Block:
    """Return the items' rows, ready for the model, in their order.

    Args:
        items: pictures and blocks of pixels.
        preparation: how they are brought to the model.
        before: called before each encoded picture.
        reserve: called with the bytes of memory that a picture takes while it is decoded, before it takes them.
    """
    builder = _BlockBuilder(sum(item.num_rows for item in items), preparation)
    for item in items:
        if isinstance(item, ArrayItem):
            builder.add_array(item)
        else:
            if before is not None:
                before()
            builder.add_picture(item, reserve)
    return builder.build()


class _BlockBuilder:
    """Rows added one after the other."""

    def __init__(self, num_rows: int, preparation: Preparation) -> None:
        self._spec, self._settings = preparation.spec, preparation.settings
        self._sources: list[str] = []
        self._indices = np.empty(num_rows, np.int64)
        self._images = np.empty((num_rows, *preparation.spec.shape), np.uint8)
        self._places = np.empty(num_rows, np.int64)
        self._num_images = 0
        self._messages: dict[int, str] = {}
        self._decode: Callable[..., Decoded] | None = None

    def add(self, source: str, index: int, *, image: npt.NDArray[np.uint8] | None, message: str) -> None:
        """Add one row; without a picture the message is the reason."""
        row = len(self._sources)
        self._sources.append(source)
        self._indices[row] = index
        if message:
            self._messages[row] = message
        if image is not None:
            self._images[self._num_images] = image
            self._places[self._num_images] = row
            self._num_images += 1

    def add_picture(self, item: ImageItem, reserve: Callable[[int], object] | None = None) -> None:
        """Decode and fit one picture."""
        if item.content is None:
            self.add(item.source, item.index, image=None, message=item.message)
            return
        if self._decode is None:
            # Once for all pictures, and not at all for arrays, which need no Pillow.
            from toolkit.imaging.decode import decode_image

            self._decode = decode_image
        try:
            decoded = self._decode(item.content, name=item.source, bits=self._spec.known_bits, reserve=reserve)
            image, note = prepare_image(decoded.pixels, self._spec, settings=self._settings)
        except DataError as error:
            self.add(item.source, item.index, image=None, message=" ".join(str(error).split()))
        else:
            notes = (item.message, *decoded.notes, note)
            self.add(item.source, item.index, image=image, message="; ".join(filter(None, notes)))

    def add_array(self, item: ArrayItem) -> None:
        """Judge and fit the pictures of an array: all at once where they are bytes, one by one where they are not."""
        if item.images.dtype == np.uint8 and item.images.shape[3:] in {(), (3,)}:
            self._add_bytes(item)
            return
        # Imported here: one PNG must not pay for it.
        from toolkit.imaging.pixel_values import refuse_unit_scale, to_pixels

        for offset, values in enumerate(item.images):
            try:
                refuse_unit_scale(values, name="the image's")
                pixels, done = to_pixels(values, bits=item.bits)
                image, note = prepare_image(pixels, self._spec, settings=self._settings)
            except DataError as error:
                self.add(item.source, item.start + offset, image=None, message=" ".join(str(error).split()))
            else:
                self.add(item.source, item.start + offset, image=image, message="; ".join(filter(None, (done, note))))

    def _add_bytes(self, item: ArrayItem) -> None:
        batch = prepare_batch(np.ascontiguousarray(item.images), self._spec, settings=self._settings)
        # Pictures lie without gaps; rows count those without a picture, too.
        row, count = len(self._sources), item.num_rows
        self._sources += [item.source] * count
        self._indices[row : row + count] = np.arange(item.start, item.start + count)
        places = slice(self._num_images, self._num_images + len(batch.images))
        self._images[places] = batch.images
        self._places[places] = batch.places + row
        self._num_images = places.stop
        self._messages |= {row + place: text for place, text in batch.messages.items()}

    def build(self) -> Block:
        """Return what was added."""
        images: Any = self._images[: self._num_images]
        return Block(
            sources=self._sources,
            indices=self._indices,
            images=images,
            places=self._places[: self._num_images],
            messages=self._messages,
        )
