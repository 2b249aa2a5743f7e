"""Image files in one sub-folder a class: headers first, then pixels, exactly as a prediction would take them."""

from __future__ import annotations

__all__ = ["load_image_folder", "spread_images"]

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.data.dataset import Dataset, Split
from toolkit.data.formats.idx import MAX_BODY_BYTES
from toolkit.data.formats.image_paths import LabelledPath, find_images
from toolkit.data.split import spread_classes
from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image, read_image_header, see_depth
from toolkit.imaging.pixel_values import Depth
from toolkit.imaging.prepare import prepare_image
from toolkit.network.config import LARGEST_IMAGE, SMALLEST_IMAGE
from toolkit.progress import OnNote, ShowProgress


def load_image_folder(
    folder: Path,
    *,
    size: tuple[int, int] | None = None,
    progress: ShowProgress | None = None,
    on_note: OnNote = lambda _: None,
    max_bytes: int = MAX_BODY_BYTES,
) -> Dataset:
    """Load images from `train/<class>/*` and `test/<class>/*`, or from `<class>/*` (see `find_images`).

    The names of the sub-folders, sorted, are the classes. The images are grey `[N, H, W]` where every file's pixels are
    stored as grey, else RGB `[N, H, W, 3]` with grey ones repeated; 16-bit grey has one depth (see `Depth`), EXIF
    rotation is applied, transparency is flattened. Training images come in an order that mixes the classes evenly and
    depends on the files' names alone, not on the file system; a validation part's images come last, where the trainer
    takes its validation images from.

    An image that cannot be used is an error, never left out; hidden files, those of other endings and broken metadata
    around whole pixels are only told.

    Args:
        folder: where the classes or the splits lie; its name becomes the data set's.
        size: (height, width) to which images are resized, as `fit_image` does for a model; None: all have one size.
        progress: called with (bytes of pixels done, bytes in all).
        on_note: called with a sentence about what was left out or held out.
        max_bytes: the most bytes of pixels.

    Raises:
        DataError: what `find_images` raises; an image that is damaged, of another size than the first or not 16 to 128
            pixels a side (it is named); more pixels than `max_bytes`.
    """
    files = find_images(folder)
    everything = [*files.train, *files.validation, *files.test]
    spec = _choose_spec([image.path for image in everything], size=size, on_note=on_note)
    reader = _ImageReader(spec, progress)
    reader.expect(len(everything), folder, max_bytes=max_bytes)
    for sentence in files.notes:
        on_note(f"{folder}: {sentence}")
    # In order before they are read, so that no pixel is copied.
    dataset = Dataset(
        name=folder.resolve().name or "folder",
        train=reader.read([*spread_images(files.train), *spread_images(files.validation)]),
        test=reader.read(spread_images(files.test)),
        classes=files.classes,
        bits=spec.bits,
    )
    reader.tell_damage(folder, on_note)
    return dataset


class _ImageReader:
    """Decodes images into arrays of one shape and tells how far it is."""

    def __init__(self, spec: InputSpec, progress: ShowProgress | None) -> None:
        self._spec = spec
        self._progress = progress
        self._done = self._total = 0
        self._damaged: dict[str, list[Path]] = {}

    def expect(self, count: int, folder: Path, *, max_bytes: int) -> None:
        self._total = count * int(np.prod(self._spec.shape))
        if self._total > max_bytes:
            raise DataError(f"{folder}: {count} images need {self._total} bytes; the cap is {max_bytes}")

    def read(self, images: Sequence[LabelledPath]) -> Split:
        pixels = np.empty((len(images), *self._spec.shape), np.uint8)
        for place, image in zip(pixels, images, strict=True):
            place[...] = self._read_one(image.path)
        return Split(images=pixels, labels=np.array([image.label for image in images], dtype=np.int64))

    def tell_damage(self, folder: Path, on_note: OnNote) -> None:
        for damage, paths in self._damaged.items():
            on_note(f"{folder}: {len(paths)} images: {damage}; the first is {min(paths)}")

    def _read_one(self, path: Path) -> npt.NDArray[np.uint8]:
        decoded = decode_image(path, bits=self._spec.known_bits)
        for damage in decoded.damage:
            self._damaged.setdefault(damage, []).append(path)
        try:
            pixels, _ = prepare_image(decoded.pixels, self._spec)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        self._done += pixels.size
        if self._progress is not None:
            self._progress(self._done, self._total)
        return pixels


class _Size(NamedTuple):
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height} high and {self.width} wide"


def _choose_spec(paths: Sequence[Path], *, size: tuple[int, int] | None, on_note: OnNote) -> InputSpec:
    """Read every header: the images' common size, and whether all are grey; and the depth of those that are deep."""
    first: _Size | None = None
    is_grey, deep = True, []
    for path in paths:
        header = read_image_header(path)
        is_grey = is_grey and header.is_grey
        deep += [path] if header.is_deep else []
        found = _Size(header.height, header.width)
        first = first or found
        if size is not None:
            continue
        if found != first:
            raise DataError(f"{path} is {found}; expected {first} as {paths[0]} is{_mend(first)}")
        if not SMALLEST_IMAGE <= min(found) <= max(found) <= LARGEST_IMAGE:
            raise DataError(
                f"{path} is {found}; expected {SMALLEST_IMAGE} to {LARGEST_IMAGE} pixels a side{_mend(found)}"
            )
    height, width = size or first or (0, 0)
    return InputSpec(
        height=height,
        width=width,
        channels=1 if is_grey else 3,
        fit="none" if size is None else "stretch",
        bits=_survey_depth(deep, on_note),
    )


def _survey_depth(deep: Sequence[Path], on_note: OnNote) -> int:
    """Look at all images with numbers wider than bytes: alone, a dark one would be taken for another depth."""
    depth = Depth()
    for path in deep:
        see_depth(path, depth)
    bits = depth.bits()
    if said := depth.describe(bits):
        on_note(f"warning: {len(deep)} images of 16-bit grey, as {deep[0]}: {said}, all alike")
    return bits


def _mend(size: _Size) -> str:
    height, width = (min(max(side, SMALLEST_IMAGE), LARGEST_IMAGE) for side in size)
    return f"; resize all of them with --size {height}x{width} (height x width)"


def spread_images(images: list[LabelledPath]) -> list[LabelledPath]:
    """Return images in an order that mixes their classes evenly."""
    return [images[place] for place in spread_classes(np.array([image.label for image in images], dtype=np.int64))]
