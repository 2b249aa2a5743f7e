"""Labelled pictures that models are judged on: as they came, and brought to each model as a prediction brings them.

Shapes: N pictures, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["LabelledPictures", "load_pictures"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.data.catalog.entries import dataset_names
from toolkit.data.dataset import Dataset
from toolkit.data.formats.idx import has_idx_files
from toolkit.data.load import load_dataset, resize_dataset
from toolkit.errors import DataError
from toolkit.imaging.prepare import prepare_batch, prepare_image
from toolkit.progress import OnNote, ShowProgress


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledPictures:
    """Pictures with their classes, not yet brought to any model.

    Attributes:
        name: what reports call them.
        pictures: uint8 `[N, H, W]` or `[N, H, W, 3]`, or the paths of N image files of any sizes.
        labels: int64 `[N]`, indices into the classes.
        classes: names, in NFC.
        has_names: see `Dataset`.
        sha256: of the data set that they are the test split of; empty where they are a folder of their own.
    """

    name: str
    pictures: npt.NDArray[np.uint8] | tuple[Path, ...]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    has_names: bool = True
    sha256: str = ""

    @classmethod
    def of_test(cls, data: Dataset) -> LabelledPictures:
        """Return a data set's test split."""
        return cls(
            name=data.name,
            pictures=data.test.images,
            labels=data.test.labels,
            classes=data.classes,
            has_names=data.has_names,
            sha256=data.sha256,
        )

    def prepare(
        self, spec: InputSpec, *, progress: ShowProgress | None = None
    ) -> tuple[npt.NDArray[np.uint8], list[str]]:
        """Bring every picture to a model's input, as `toolkit predict` does.

        Args:
            spec: what the model takes.
            progress: called with (pictures done, N) where they are files.

        Returns:
            uint8 `[N, *spec.shape]`, and what was done to each picture that was changed.

        Raises:
            DataError: a picture that cannot be used; it is named.
        """
        if isinstance(self.pictures, tuple):
            return _read_files(self.pictures, spec, progress=progress)
        batch = prepare_batch(self.pictures, spec)
        if len(batch.places) < len(self.pictures):
            first = min(set(range(len(self.pictures))) - set(batch.places.tolist()))
            raise DataError(f"{self.name}, test image {first}: {batch.messages[first]}")
        return batch.images, list(batch.messages.values())


def load_pictures(
    name: str,
    *,
    trained_on: Mapping[str, Any],
    size: tuple[int, int],
    progress: ShowProgress | None = None,
    on_note: OnNote = lambda _: None,
) -> LabelledPictures:
    """Load what a model is to be judged on: a data set's test split, or a folder's pictures.

    Of a folder with one sub-folder of image files a class the test part is judged, else the validation part, else the
    whole folder; unless it is the very data that the model was trained on: of that the split held out then is judged.

    Args:
        name: a name or a path, as `load_dataset` takes them.
        trained_on: `sha256`, `train_count`, `test_count` of what the model was trained on, `source` where it is known.
        size: (height, width) of the model's images, to which that was brought.
        progress: called with (bytes done, bytes in all or None).
        on_note: called with one sentence about each thing that was left out or changed on purpose.

    Raises:
        UsageError: neither a name nor a path of a data set.
        DataError: the files cannot be used; and what `load_dataset` raises.
    """
    path = Path(name)
    if name not in dataset_names() and path.is_dir() and not has_idx_files(path):
        return _load_folder(path, trained_on=trained_on, size=size, progress=progress, on_note=on_note)
    data = load_dataset(name, progress=progress, on_note=on_note)
    if data.sha256 != trained_on["sha256"]:
        resized = resize_dataset(data, size)
        data = resized if resized.sha256 == trained_on["sha256"] else data
    return LabelledPictures.of_test(data)


def _load_folder(
    folder: Path,
    *,
    trained_on: Mapping[str, Any],
    size: tuple[int, int],
    progress: ShowProgress | None,
    on_note: OnNote,
) -> LabelledPictures:
    from toolkit.data.formats.image_folder import load_image_folder, spread_images
    from toolkit.data.formats.image_paths import find_judged_images

    files = find_judged_images(folder)
    least = trained_on["test_count"] + (trained_on["train_count"] if files.is_whole else 0)
    if len(files.images) >= least:
        try:
            data = load_image_folder(folder, size=size, progress=progress)
        except DataError:
            data = None  # nothing could be trained on it, so nothing was
        if data is not None and data.sha256 == trained_on["sha256"]:
            if files.is_whole:
                on_note(f"{folder} is what the model was trained on: the {len(data.test)} images held out are judged")
            return LabelledPictures.of_test(data)
    for sentence in files.notes:
        on_note(f"{folder}: {sentence}")
    if files.is_whole:
        on_note(f"{folder} has no test part: all of its {len(files.images)} images are judged")
        if trained_on.get("source") == str(folder.resolve()):
            on_note(f"warning: the model was trained on {folder} as it was then: it has seen most of these images")
    images = spread_images(files.images)
    return LabelledPictures(
        name=folder.resolve().name or "folder",
        pictures=tuple(image.path for image in images),
        labels=np.array([image.label for image in images], np.int64),
        classes=files.classes,
    )


def _read_files(
    paths: tuple[Path, ...], spec: InputSpec, *, progress: ShowProgress | None
) -> tuple[npt.NDArray[np.uint8], list[str]]:
    from toolkit.imaging.decode import decode_image

    images = np.empty((len(paths), *spec.shape), np.uint8)
    notes = []
    for place, path in enumerate(paths):
        decoded = decode_image(path, bits=spec.known_bits)
        try:
            images[place], note = prepare_image(decoded.pixels, spec)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        notes += ["; ".join(filter(None, (*decoded.notes, note)))] if note or decoded.notes else []
        if progress is not None:
            progress(place + 1, len(paths))
    return images, notes
