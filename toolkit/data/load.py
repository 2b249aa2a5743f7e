"""A data set by its name, or from a folder."""

from __future__ import annotations

__all__ = ["load_dataset"]

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.data.catalog import CATALOG, MINI_NAME, dataset_names
from toolkit.data.dataset import Dataset, Split
from toolkit.data.fetch import fetch_missing, read_cached
from toolkit.data.folder import load_idx_folder
from toolkit.data.idx import read_idx
from toolkit.data.mini_subset import load_mini
from toolkit.errors import UsageError, suggest

if TYPE_CHECKING:
    from toolkit.data.catalog import CatalogEntry
    from toolkit.data.source import Progress


def load_dataset(name: str, *, progress: Progress | None = None) -> Dataset:
    """Load a data set: `mnist` (fetched at first use), `mnist-mini` (embedded), or a folder with four IDX files.

    A folder that holds exactly a catalogue's files is recognised by its content and takes that name. To load a folder
    that is called like a data set, write `./mnist`.

    Args:
        name: a name or a path.
        progress: called with (bytes done, bytes in all or None) while fetching.

    Raises:
        UsageError: neither a name nor a folder.
        DataError: the folder's files cannot be used.
        DownloadError: the data could not be fetched, or a cached file has changed since.
        ResourceError: the cache cannot be written.
    """
    if name == MINI_NAME:
        return load_mini()
    if name in CATALOG:
        return _load_entry(CATALOG[name], progress)
    folder = Path(name)
    if not folder.is_dir():
        names = dataset_names()
        known = ", ".join(names)
        raise UsageError(f"no data set or folder {name!r}{suggest(name, names)}; expected {known}, or a folder")
    return _recognise(load_idx_folder(folder))


def _load_entry(entry: CatalogEntry, progress: Progress | None) -> Dataset:
    folder = fetch_missing(entry, progress=progress)
    # What was hashed is what is parsed: each file is read once.
    arrays = [read_idx(read_cached(folder / file.name, file), name=str(folder / file.name)) for file in entry.files]
    return Dataset(
        name=entry.name,
        train=Split(images=arrays[0], labels=arrays[1].astype(np.int64)),
        test=Split(images=arrays[2], labels=arrays[3].astype(np.int64)),
        classes=entry.classes,
        licence=entry.licence,
        polarity=entry.polarity,
        fit=entry.fit,
    )


def _recognise(dataset: Dataset) -> Dataset:
    for entry in CATALOG.values():
        if dataset.sha256 == entry.content_sha256:
            return replace(dataset, name=entry.name, licence=entry.licence, polarity=entry.polarity, fit=entry.fit)
    return dataset
