"""Labelled pictures that models are judged on: as they came, and brought to each model as a prediction brings them.

Shapes: N pictures, H rows, W columns.
"""

from __future__ import annotations

__all__ = ["LabelledPictures", "StoredPictures", "judge_arrays", "load_pictures"]

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.data.catalog.entries import dataset_names
from toolkit.data.dataset import Dataset
from toolkit.data.gathered import GatheredPictures
from toolkit.data.load import find_own, finish_own, load_dataset, recognise_entry, settle_pictures
from toolkit.data.split import spread_classes
from toolkit.errors import DataError
from toolkit.imaging.prepare import prepare_batch
from toolkit.progress import OnNote, ShowProgress, tell_nobody

if TYPE_CHECKING:
    from toolkit.data.formats.class_folders import JudgedFiles
    from toolkit.data.formats.tree import PictureStore
    from toolkit.data.sources import Layout, Pictures


class StoredPictures(NamedTuple):
    """Encoded pictures of any sizes where they lie.

    Attributes:
        store: where.
        places: int64 `[N]`, which.
    """

    store: PictureStore
    places: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledPictures:
    """Pictures with their classes, not yet brought to any model.

    Attributes:
        name: what reports call them.
        pictures: uint8 `[N, H, W]` or `[N, H, W, 3]`, or N encoded ones.
        labels: int64 `[N]`, indices into the classes.
        classes: names, in NFC.
        has_names: see `Dataset`.
        sha256: of the data set that they are the test split of; empty where they are none's.
    """

    name: str
    pictures: npt.NDArray[np.uint8] | StoredPictures
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
        self, spec: InputSpec, *, progress: ShowProgress = tell_nobody
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
        if isinstance(self.pictures, StoredPictures):
            from toolkit.data.formats.decoding import decode_files

            decoded = decode_files(*self.pictures, spec=spec, progress=progress)
            return decoded.images, [decoded.changes[position] for position in sorted(decoded.changes)]
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
    progress: ShowProgress = tell_nobody,
    on_note: OnNote = lambda _: None,
) -> LabelledPictures:
    """Load what a model is to be judged on: the test split of a data set, or pictures that are only judged.

    Of a user's own pictures the test part is judged, else the validation part, else all of them; unless they are the
    very data that the model was trained on: of those the split held out then is judged.

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
    if name in dataset_names():
        return LabelledPictures.of_test(load_dataset(name, progress=progress, on_note=on_note))
    from toolkit.data.sources import recognise_layout

    path = find_own(name)
    layout = recognise_layout(path, on_note=on_note)
    pictures: Pictures | None = None
    if layout.find_judged is None:
        pictures = layout.open(on_note)
        if isinstance(pictures, GatheredPictures):
            return judge_arrays(pictures, path, trained_on=trained_on, size=size, on_note=on_note)
        store, files = pictures.store, pictures.files.judged()
    else:
        store, files = layout.find_judged()
    same = _load_same(layout, files, pictures=pictures, trained_on=trained_on, size=size, progress=progress)
    if same is not None:
        if files.is_whole:
            on_note(_name_same(path, same))
        return LabelledPictures.of_test(same)
    for sentence in files.notes:
        on_note(sentence)
    if files.is_whole:
        _tell_whole(path, len(files.files.places), trained_on=trained_on, on_note=on_note)
    return _of_files(files, store, name=layout.name)


def _of_files(files: JudgedFiles, store: PictureStore, *, name: str) -> LabelledPictures:
    order = spread_classes(files.files.labels)
    return LabelledPictures(
        name=name,
        pictures=StoredPictures(store, files.files.places[order]),
        labels=files.files.labels[order],
        classes=files.classes,
    )


def _load_same(
    layout: Layout,
    files: JudgedFiles,
    *,
    pictures: Pictures | None,
    trained_on: Mapping[str, Any],
    size: tuple[int, int],
    progress: ShowProgress,
) -> Dataset | None:
    """Return the data set that the model was trained on, where these are its pictures."""
    if len(files.files.places) < _least(trained_on, is_whole=files.is_whole):
        return None
    try:
        data = finish_own(pictures or layout.open(lambda _: None), size=size, progress=progress)
    except DataError:  # nothing could be trained on it, so nothing was
        return None
    return data if data.sha256 == trained_on["sha256"] else None


def judge_arrays(
    gathered: GatheredPictures,
    path: Path,
    *,
    trained_on: Mapping[str, Any],
    size: tuple[int, int],
    on_note: OnNote,
) -> LabelledPictures:
    """Return what of arrays is to be judged; the rest as `load_pictures`.

    Args:
        gathered: the arrays.
        path: where they lie, or what they are called.
        trained_on: see there, like the others.
        size: see there.
        on_note: see there.
    """
    known = recognise_entry(gathered)
    if known is not None and known.sha256 == trained_on["sha256"]:
        return LabelledPictures.of_test(known)
    is_whole = gathered.test is None
    judged = gathered.train if gathered.test is None else gathered.test
    if len(judged) >= _least(trained_on, is_whole=is_whole):
        same = settle_pictures(gathered, size=size)
        if same.sha256 == trained_on["sha256"]:
            if is_whole:
                on_note(_name_same(path, same))
            return LabelledPictures.of_test(same)
    if known is not None:
        return LabelledPictures.of_test(known)
    if is_whole:
        _tell_whole(path, len(judged), trained_on=trained_on, on_note=on_note)
    return LabelledPictures(
        name=gathered.name,
        pictures=judged.images,
        labels=judged.labels,
        classes=gathered.classes,
        has_names=gathered.has_names,
    )


def _least(trained_on: Mapping[str, Any], *, is_whole: bool) -> int:
    """Return how many pictures the data that a model was trained on have at least, or their test part."""
    return int(trained_on["test_count"] + (trained_on["train_count"] if is_whole else 0))


def _name_same(path: Path, same: Dataset) -> str:
    count = len(same.test)
    held_out = f"the {count:,} images held out are judged" if count > 1 else "the image held out is judged"
    return f"{path} is what the model was trained on: {held_out}"


def _tell_whole(path: Path, count: int, *, trained_on: Mapping[str, Any], on_note: OnNote) -> None:
    judged = f"all of its {count:,} images are judged" if count > 1 else "its only image is judged"
    on_note(f"{path} has no test part: {judged}")
    if trained_on.get("source") == str(path.resolve()):
        on_note(f"warning: the model was trained on {path} as it was then: it has seen most of these images")
