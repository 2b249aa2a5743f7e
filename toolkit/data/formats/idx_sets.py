"""Four IDX files that are a data set: images and labels for training and for testing, under any usual name.

EMNIST's files hold the pictures transposed, as NIST's own programs read them, and come with a file that maps labels to
characters. Where that file lies there, the pictures are turned upright and the characters are the classes' names.

Source of the mapping: Cohen et al., "EMNIST: an extension of MNIST to handwritten letters", 2017, and its own files.
"""

from __future__ import annotations

__all__ = ["find_idx_sets", "load_idx_folder", "load_idx_set"]

from pathlib import Path

import numpy as np
import numpy.typing as npt

from toolkit.data.dataset import Dataset, Split
from toolkit.data.formats.idx import MAX_BODY_BYTES, read_idx
from toolkit.data.formats.shards import FileSet, find_sets
from toolkit.data.formats.tree import DiskStore, Folder, FoundFile, PictureStore
from toolkit.data.gathered import GatheredPictures, join_parts
from toolkit.data.labels import ClassLabels, number_labels
from toolkit.errors import DataError
from toolkit.progress import OnNote

# The tutorial's names have a dot: `train-images.idx3-ubyte`.
PATTERN = r"ROLE-(?P<content>images|labels)[-.]idx\d-ubyte(?:\.gz)?"
RANKS = {"images": (3, 4), "labels": (1,)}
USUAL_NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
MAPPING = "mapping.txt"
MAX_MAPPING_BYTES = 1 << 16
TURNED_AT_ONCE = 1024


def find_idx_sets(top: Folder) -> list[FileSet]:
    """Return the data sets of IDX files in a folder, or up to two folders below it."""
    return find_sets(top, PATTERN)


def load_idx_set(
    found: FileSet,
    *,
    store: PictureStore,
    name: str,
    on_note: OnNote = lambda _: None,
    max_bytes: int = MAX_BODY_BYTES,
) -> GatheredPictures:
    """Load four IDX files, plain or gzip.

    Classes are the numbers from the smallest label, or 0, to the largest training label, or a mapping's characters.

    Args:
        found: the files.
        store: where they lie.
        name: the data set's.
        on_note: called with a sentence about labels that begin behind 0, and pictures that were turned.
        max_bytes: the most bytes read from any one file.

    Raises:
        DataError: a file is missing (each is named) or is not what its name says.
    """
    missing = [f"{part} {content} ({usual})" for (part, content), usual in USUAL_NAMES.items()
               if (part, content) not in found.files]  # fmt: skip
    if missing:
        raise DataError(f"{found.folder.title} lacks {', '.join(missing)}; expected four IDX files, plain or .gz")
    parts = {role: _load_split(found, role, store=store, max_bytes=max_bytes) for role in ("train", "test")}
    mapping = _read_mapping(found, store)
    labels = {role: split.labels for role, split in parts.items()}
    # Where characters name the classes, at which number they begin is nobody's concern.
    named = number_labels(labels, name=name, on_note=on_note if mapping is None else lambda _: None)
    if mapping is not None:
        file, characters = mapping
        classes = _name_classes(named.classes, characters, title=store.title(file.place))
        named = ClassLabels(named.labels, classes, has_names=True)
        for split in parts.values():
            _turn_upright(split.images)
        on_note(f"{name}: turned upright and named by {file.name}, as NIST's files hold pictures transposed")
    return join_parts({role: split.images for role, split in parts.items()}, named, name=name)


def load_idx_folder(folder: Path, *, max_bytes: int = MAX_BODY_BYTES) -> Dataset:
    """Load a folder's four IDX files in their own order.

    Raises:
        DataError: as `load_idx_set`; there are no such files.
    """
    store = DiskStore(folder)
    found = [*find_idx_sets(store.root), FileSet(store.root, "", {})][0]
    loaded = load_idx_set(found, store=store, name=folder.resolve().name or "folder", max_bytes=max_bytes).as_dataset()
    assert loaded is not None  # it has a test split
    return loaded


def _load_split(found: FileSet, role: str, *, store: PictureStore, max_bytes: int) -> Split:
    arrays = []
    for content, ranks in RANKS.items():
        place = found.files[role, content][0].place  # plain before .gz
        with store.open(place) as stream:
            arrays.append(read_idx(stream, ranks=ranks, max_bytes=max_bytes, name=store.title(place)))
    pixels, values = arrays
    if role == "train" and not len(pixels):
        raise DataError(f"{found.folder.title}: the training files hold no images; expected at least 1")
    try:
        return Split(images=pixels, labels=values.astype(np.int64))
    except DataError as error:
        names = " and ".join(found.files[role, content][0].name for content in RANKS)
        raise DataError(f"{names} in {found.folder.title}: {error}") from error


def _read_mapping(found: FileSet, store: PictureStore) -> tuple[FoundFile, dict[int, str]] | None:
    """Return the file that says which label is which character, and what it says; None where there is none."""
    file = next((file for file in found.folder.files if file.name.lower() == found.prefix.lower() + MAPPING), None)
    if file is None or not found.prefix:
        return None
    with store.open(file.place) as stream:
        lines = stream.read(MAX_MAPPING_BYTES).decode("ascii", "replace").splitlines()
    try:
        # EMNIST's letters have a second character, the small letter of the same class.
        numbers = [[int(cell) for cell in line.split()] for line in lines if line.strip()]
        return file, {label: chr(point) for label, point, *_ in numbers}
    except (ValueError, OverflowError) as error:
        title = store.title(file.place)
        raise DataError(f"{title} maps no labels to characters; expected a label and its code point a line") from error


def _name_classes(numbers: tuple[str, ...], characters: dict[int, str], *, title: str) -> tuple[str, ...]:
    unknown = [number for number in numbers if int(number) not in characters]
    if unknown:
        raise DataError(f"{title} names no character for label {unknown[0]}; expected one for each label")
    return tuple(characters[int(number)] for number in numbers)


def _turn_upright(images: npt.NDArray[np.uint8]) -> None:
    """Transpose square pictures in place."""
    if images.shape[1] != images.shape[2]:
        raise DataError(f"pictures of {images.shape[1]}x{images.shape[2]} cannot be EMNIST's; expected squares")
    for start in range(0, len(images), TURNED_AT_ONCE):
        block = images[start : start + TURNED_AT_ONCE]
        block[:] = block.swapaxes(1, 2).copy()
