"""Folders of pictures, loaded as a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from toolkit.data import Dataset, load_dataset
from toolkit.data.formats.class_folders import find_class_files
from toolkit.data.formats.decoding import EncodedPictures
from toolkit.data.formats.tree import DiskStore


def load_image_folder(folder: Path, **how: Any) -> Dataset:
    return load_dataset(str(folder), **how)


def open_image_folder(folder: Path) -> EncodedPictures:
    store = DiskStore(folder)
    return EncodedPictures(name=folder.name, store=store, files=find_class_files(store))
