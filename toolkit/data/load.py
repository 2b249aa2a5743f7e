"""A data set by its name, from a folder or from a file; of the size and polarity asked for."""

from __future__ import annotations

__all__ = [
    "check_size",
    "find_own",
    "finish_own",
    "is_public",
    "load_dataset",
    "load_mini",
    "recognise_entry",
    "resize_pictures",
    "settle_pictures",
]

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.card import InputSpec
from toolkit.data.catalog.entries import CATALOG, MINI_NAME, MNIST, CatalogEntry, dataset_names
from toolkit.data.catalog.fetch import fetch_missing, read_cached
from toolkit.data.dataset import POLARITIES, Dataset, Split
from toolkit.data.formats.idx import read_idx
from toolkit.data.formats.idx_sets import load_idx_folder
from toolkit.data.gathered import GatheredPictures, arrange
from toolkit.errors import DataError, UsageError, require_known, suggest
from toolkit.imaging.fit import find_fit, fit_image
from toolkit.imaging.polarity import choose_sample, find_polarity
from toolkit.progress import OnNote, ShowProgress, tell_nobody

if TYPE_CHECKING:
    from toolkit.data.formats.survey import Survey
    from toolkit.data.sources import Pictures

KINDS = "a path: class folders (plain, ZIP, tar), IDX files, an NPZ, a CSV of pixels, Parquet with images"
# 500 training and 100 test digits of each class of MNIST, inside the package.
MINI_FOLDER = Path(__file__).parent / "mini"
MINI_SHA256 = "f666245e32b0a988556b1fca6fdd2dedada07f6849e9a495fe0046044ef14e91"


def load_dataset(
    name: str,
    *,
    size: int | tuple[int, int] | None = None,
    polarity: str | None = None,
    progress: ShowProgress | None = None,
    on_note: OnNote = lambda _: None,
) -> Dataset:
    """Load a data set by name, or a user's own from a folder or a file.

    - `mnist`, `fashion-mnist` and `kmnist` (fetched at first use) and `mnist-mini` (embedded);
    - one folder of image files a class, with or without splits, plain, in a ZIP or a tar (see `find_class_files`);
    - four IDX files, uint8, grey or RGB, of any size and prefix (see `load_idx_set`), also folders below;
    - an NPZ file with MedMNIST's or Keras's keys (see `load_npz`);
    - tables of pixels (see `load_csv`), Parquet with encoded images (see `read_parquet_labels`).

    Arrays that hold exactly the images of a catalogue entry with a known content hash, in its order, are recognised by
    it and take that name. To load a folder that is called like a data set, write `./mnist`. A user's own images come
    in an order that depends on themselves alone and mixes the classes (see `arrange`).

    Args:
        name: a name or a path.
        size: pixels a side, or (height, width), 16 to 128, to which a user's own images are resized; None leaves them.
        polarity: what a user's own images are, see `Dataset`; None: told from the training images.
        progress: called with (bytes done, bytes in all or None).
        on_note: called with one sentence about each thing that was left out, held out or changed on purpose.

    Raises:
        UsageError: neither a name nor a folder nor a file that could be a data set; a size that is out of range, an
            unknown polarity, or either for a data set of the catalogue.
        DataError: the files cannot be used.
        DownloadError: the data could not be fetched, or a cached file has changed since.
        ResourceError: the cache cannot be written.
    """
    size, show = (size, size) if isinstance(size, int) else size, progress or tell_nobody
    check_size(size, name)
    _check_polarity(polarity, name)
    if name == MINI_NAME:
        return load_mini()
    if name in CATALOG:
        return _load_entry(CATALOG[name], show)
    from toolkit.data.sources import recognise_layout

    pictures = recognise_layout(find_own(name), on_note=on_note).open(on_note)
    return finish_own(pictures, size=size, polarity=polarity, progress=show, on_note=on_note)


def finish_own(
    pictures: Pictures,
    *,
    survey: Survey | None = None,
    size: tuple[int, int] | None = None,
    polarity: str | None = None,
    progress: ShowProgress = tell_nobody,
    on_note: OnNote = lambda _: None,
) -> Dataset:
    """Make a data set of a user's own pictures, opened; the rest as `load_dataset`.

    Args:
        pictures: arrays, or encoded ones.
        survey: of encoded ones, where it is at hand.
        size: see there, like the others.
        polarity: see there.
        progress: see there.
        on_note: see there.

    Raises:
        DataError: they cannot be used.
    """
    if isinstance(pictures, GatheredPictures):
        own = settle_pictures(pictures, size=size, on_note=on_note)
    else:
        gathered = pictures.gather(survey=survey, size=size, progress=progress, on_note=on_note)
        own = arrange(gathered, on_note=on_note)
    is_recognised = own.polarity != "any"
    return own if is_recognised and polarity is None else _tell_input(own, polarity, on_note=on_note)


def load_mini() -> Dataset:
    """Load the embedded subset: 5,000 training and 1,000 test images, uint8 `[N, 28, 28]`, ten classes.

    Raises:
        DataError: the package's files are missing or not the ones it was built with.
    """
    content = load_idx_folder(MINI_FOLDER)
    if content.sha256 != MINI_SHA256:
        seen = f"has SHA-256 {content.sha256}, expected {MINI_SHA256}"
        raise DataError(f"{MINI_FOLDER} {seen}; install the package again")
    return replace(content, **{**MNIST.terms, "name": MINI_NAME})


def is_public(dataset: Dataset) -> bool:
    """Say whether a data set holds exactly the images of a catalogue entry, which may be passed on.

    Its content hash is one that the catalogue states, or the one that the images had when they were read from files
    whose own hashes the catalogue states.
    """
    known = {MINI_SHA256, dataset.verified_sha256, *(entry.content_sha256 for entry in CATALOG.values())}
    return dataset.sha256 in known


def resize_pictures(gathered: GatheredPictures, size: tuple[int, int]) -> GatheredPictures:
    """Resize every image by `fit_image`'s `stretch`; pictures that have the size are returned as they are.

    Args:
        gathered: images of any size.
        size: (height, width) in pixels.
    """
    shape = gathered.train.image_shape
    if size == shape[:2]:
        return gathered
    channels = 1 if len(shape) == 2 else 3
    spec = InputSpec(height=size[0], width=size[1], channels=channels, fit="stretch")
    test = None if gathered.test is None else _resize_split(gathered.test, spec)
    return replace(gathered, train=_resize_split(gathered.train, spec), test=test)


def check_size(size: tuple[int, int] | None, name: str) -> None:
    """Refuse a size that no network takes, and one for a data set that has its own.

    Raises:
        UsageError: it is out of range, or for a data set of the catalogue.
    """
    if size is None:
        return
    from toolkit.network.config import LARGEST_IMAGE, SMALLEST_IMAGE

    if not SMALLEST_IMAGE <= min(size) <= max(size) <= LARGEST_IMAGE:
        raise UsageError(
            f"the size {size[0]}x{size[1]} is out of range; expected {SMALLEST_IMAGE} to {LARGEST_IMAGE} pixels a side"
        )
    if name in dataset_names():
        raise UsageError(f"{name} has its own size; a size can be given for a folder or a file")


def _check_polarity(polarity: str | None, name: str) -> None:
    if polarity is None:
        return
    require_known(polarity, POLARITIES, what="polarity")
    if name in dataset_names():
        raise UsageError(f"{name} has its own polarity; one can be given for a folder or a file")


def _load_entry(entry: CatalogEntry, progress: ShowProgress) -> Dataset:
    folder = fetch_missing(entry, progress=progress)
    # What was hashed is what is parsed: each file is read once.
    arrays = [read_idx(read_cached(folder / file.name, file), name=str(folder / file.name)) for file in entry.files]
    dataset = Dataset(
        train=Split(images=arrays[0], labels=arrays[1].astype(np.int64)),
        test=Split(images=arrays[2], labels=arrays[3].astype(np.int64)),
        classes=entry.classes,
        **entry.terms,
    )
    return replace(dataset, verified_sha256=entry.content_sha256 or dataset.sha256)


def find_own(name: str) -> Path:
    """Return the path of a user's own data.

    Raises:
        UsageError: neither a name of the catalogue nor a path that exists.
    """
    path = Path(name)
    try:
        is_there = path.exists()
    except (OSError, ValueError):  # the second: a zero byte in the name
        is_there = False
    if not is_there:
        names = dataset_names()
        raise UsageError(
            f"no data set, file or folder {name!r}{suggest(name, names)}; expected {', '.join(names)}, or {KINDS}"
        )
    return path


def settle_pictures(
    gathered: GatheredPictures, *, size: tuple[int, int] | None, on_note: OnNote = lambda _: None
) -> Dataset:
    """Recognise arrays of the catalogue's; bring those of a user's own to their size and into their order."""
    known = recognise_entry(gathered)
    if known is not None and size in {None, (known.height, known.width)}:
        return known
    return arrange(gathered if size is None else resize_pictures(gathered, size), on_note=on_note)


def recognise_entry(gathered: GatheredPictures) -> Dataset | None:
    """Return the data set of the catalogue that these pictures are, in its own order; None for others."""
    dataset = None if gathered.num_validation else gathered.as_dataset()
    if dataset is None:
        return None
    entry = next((entry for entry in CATALOG.values() if entry.content_sha256 == dataset.sha256), None)
    return None if entry is None else replace(dataset, **entry.terms)


def _resize_split(split: Split, spec: InputSpec) -> Split:
    images = np.empty((len(split), *spec.shape), np.uint8)
    for place, image in zip(images, split.images, strict=True):
        place[...] = fit_image(image, spec)
    return Split(images=images, labels=split.labels)


def _tell_input(dataset: Dataset, wish: str | None, *, on_note: OnNote) -> Dataset:
    """Tell from a user's own training images what other pictures have to become to be like them."""
    looked_at = dataset.train.take(choose_sample(len(dataset.train))).images
    found = find_polarity(looked_at)
    if wish not in {None, "any", found} and found != "any":
        on_note(
            f"warning: the training images of {dataset.name} look {found}; they are taken for {wish}, as asked, and"
            " pictures that look like them will be inverted for a prediction (--polarity any inverts none)"
        )
    polarity = wish or found
    fit = find_fit(looked_at, polarity)
    return replace(dataset, polarity=polarity, fit=fit)
