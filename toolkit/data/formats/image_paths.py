"""A folder of images found and sorted into classes: which files, in which split, nothing opened yet."""

from __future__ import annotations

__all__ = ["ImageFiles", "JudgedFiles", "LabelledPath", "find_images", "find_judged_images", "holds_classes"]

import os
import stat
import unicodedata
from pathlib import Path
from typing import NamedTuple

from toolkit.data.classes import list_names
from toolkit.data.split import digest_order
from toolkit.errors import DataError
from toolkit.imaging.endings import IMAGE_ENDINGS

TRAIN_NAME = "train"
TEST_NAME = "test"
VALIDATION_NAMES = ("val", "valid", "validation")
# Of a class's n images, n // 6 (at least 1) are the test split: MNIST's own share is one of seven, CIFAR-10's of six.
TEST_SHARE = 6
IGNORED_FOLDERS = ("__MACOSX", "__pycache__")
EXPECTED = "expected train/<class>/* and test/<class>/*, or <class>/*"


class LabelledPath(NamedTuple):
    """An image file and the index of its class."""

    path: Path
    label: int


class ImageFiles(NamedTuple):
    """The files of an image folder.

    Attributes:
        classes: the training classes' names, sorted.
        train: class after class; inside a class in the order of `digest_order`.
        validation: likewise; empty where the folder has no validation part beside a test part.
        test: likewise.
        notes: sentences about what was left out and how the splits came about.
    """

    classes: tuple[str, ...]
    train: list[LabelledPath]
    validation: list[LabelledPath]
    test: list[LabelledPath]
    notes: tuple[str, ...]


class JudgedFiles(NamedTuple):
    """The files of an image folder that a model is judged on.

    Attributes:
        classes: the sub-folders' names, sorted.
        images: class after class; inside a class in the order of `digest_order`.
        is_whole: whether these are all of the folder's images, because it has no part for judging.
        notes: sentences about what was left out.
    """

    classes: tuple[str, ...]
    images: list[LabelledPath]
    is_whole: bool
    notes: tuple[str, ...]


def holds_classes(folder: Path) -> bool:
    """Say whether a folder has sub-folders that could be classes or splits."""
    return bool(_list_folders(folder))


def find_images(folder: Path) -> ImageFiles:
    """Find the images of `train/<class>/*` and `test/<class>/*`, or of `<class>/*`.

    Where there is no `test`, `val`, `valid` or `validation` is the test split; where there is none of them either, a
    sixth of each class (at least one image) is held out of the training images, chosen by the digest of
    `<class>/<file name>`. A validation part beside a test part is returned on its own. Folders are classes, never
    looked into further; two whose names differ in Unicode's spelling alone are one. Hidden names are left out, and so
    are files whose names do not end like an image's.

    Raises:
        DataError: fewer than two classes, a class without a training image (or with a single one where the test split
            has to be held out), a folder in a class or beside the splits, a test class that is not a training class, a
            class name that cannot be printed, or an image's name on something that is no regular file.
    """
    parts = _find_parts(folder)
    top = parts[TRAIN_NAME]
    classes = tuple(sorted(_list_classes(top)))
    if len(classes) < 2:
        raise DataError(f"{top} has {len(classes)} sub-folder(s); expected one for each class, at least 2; {EXPECTED}")
    found, notes = _list_parts(parts, classes)
    _check_every_class(found[TRAIN_NAME], classes, least=1 if TEST_NAME in found else 2, folder=top)
    if TEST_NAME not in found:
        found[TRAIN_NAME], found[TEST_NAME] = _hold_out_test(found[TRAIN_NAME])
        notes.append(f"no test part: {len(found[TEST_NAME])} images, a sixth of each class, are held out as one")
    elif parts[TEST_NAME].name != TEST_NAME:
        notes.append(f"no test part: {parts[TEST_NAME].name} is taken as the test split")
    validation = found.get(VALIDATION_NAMES[0], [])
    if validation:
        notes.append(f"its {len(validation)} validation images stand last among the training images")
    return ImageFiles(classes, found[TRAIN_NAME], validation, found[TEST_NAME], tuple(notes))


def find_judged_images(folder: Path) -> JudgedFiles:
    """Find the images that a model can be judged on: the test part, else the validation part, else all of them.

    Of the classes there may be any number, and the other parts may have others.

    Raises:
        DataError: as `find_images`, but for the classes' number; no image at all.
    """
    parts = _find_parts(folder)
    judged = TEST_NAME if TEST_NAME in parts else TRAIN_NAME
    classes = tuple(sorted(_list_classes(parts[judged])))
    found, notes = _list_parts({judged: parts[judged]}, classes)
    if not found[judged]:
        raise DataError(f"{parts[judged]} has no image in its {len(classes)} sub-folders; {EXPECTED}")
    return JudgedFiles(classes, found[judged], judged == TRAIN_NAME, tuple(notes))


def _find_parts(folder: Path) -> dict[str, Path]:
    """Return the folders of the splits by their role; where there are none, the folder itself is `train`."""
    names = {path.name: path for path in _list_folders(folder)}
    # A folder `train` full of images is a class of that name: trains beside cars.
    if TRAIN_NAME not in names or not holds_classes(names[TRAIN_NAME]):
        return {TRAIN_NAME: folder}
    validation = [name for name in VALIDATION_NAMES if name in names]
    strange = set(names) - {TRAIN_NAME, TEST_NAME, *VALIDATION_NAMES}
    if strange or len(validation) > 1:
        extra = min(strange) if strange else validation[1]
        raise DataError(f"{folder / extra} stands beside the folder train; {EXPECTED}")
    parts = {TRAIN_NAME: names[TRAIN_NAME]}
    if TEST_NAME in names:
        parts[TEST_NAME] = names[TEST_NAME]
    if validation:
        parts[VALIDATION_NAMES[0] if TEST_NAME in names else TEST_NAME] = names[validation[0]]
    return parts


def _list_parts(parts: dict[str, Path], classes: tuple[str, ...]) -> tuple[dict[str, list[LabelledPath]], list[str]]:
    """Return the images of each part, and a sentence about those that were left out."""
    found, ignored = {}, 0
    for name, part in parts.items():
        found[name], skipped = _list_part(part, classes)
        ignored += skipped
    return found, [f"{ignored} files left out, hidden or not named like an image"] if ignored else []


def _list_part(part: Path, classes: tuple[str, ...]) -> tuple[list[LabelledPath], int]:
    images: list[LabelledPath] = []
    ignored = 0
    labels = {name: label for label, name in enumerate(classes)}
    folders = _list_classes(part)
    for name in folders:
        if name not in labels:
            raise DataError(f"{part / name} has no class of this name among the training images: {list_names(classes)}")
    for name in sorted(folders, key=labels.__getitem__):
        paths, skipped = _list_class(name, folders[name])
        images.extend(LabelledPath(path, labels[name]) for path in paths)
        ignored += skipped
    return images, ignored


def _list_classes(part: Path) -> dict[str, list[Path]]:
    """Return the folders of each class by its name in NFC: more than one where they are spelt in two ways."""
    folders: dict[str, list[Path]] = {}
    for path in _list_folders(part):
        folders.setdefault(unicodedata.normalize("NFC", _class_name(path)), []).append(path)
    return folders


def _list_class(name: str, folders: list[Path]) -> tuple[list[Path], int]:
    """Return a class's images in the order of `digest_order`, and how many other files there are."""
    found: dict[bytes, list[Path]] = {}
    ignored = 0
    for entry in (entry for folder in folders for entry in _scan(folder)):
        if entry.name.startswith(".") or entry.name in IGNORED_FOLDERS:
            ignored += 1
        elif _is_folder(entry):
            raise DataError(f"{entry.path} is a folder inside a class; {EXPECTED}")
        elif os.path.splitext(entry.name)[1].lower() not in IMAGE_ENDINGS:  # noqa: PTH122 - no Path for 100,000 names
            ignored += 1
        else:
            _check_regular(entry)
            found.setdefault(os.fsencode(f"{name}/{entry.name}"), []).append(Path(entry.path))
    return [path for key in digest_order(found) for path in found[key]], ignored


def _check_regular(entry: os.DirEntry[str]) -> None:
    try:
        is_regular = stat.S_ISREG(entry.stat().st_mode)
    except OSError as error:
        raise DataError(f"cannot read {entry.path}: {error.strerror or error}") from error
    if not is_regular:
        raise DataError(f"{entry.path} is not a regular file and was not opened; expected an image")


def _check_every_class(images: list[LabelledPath], classes: tuple[str, ...], *, least: int, folder: Path) -> None:
    counts = [0] * len(classes)
    for image in images:
        counts[image.label] += 1
    for name, count in zip(classes, counts, strict=True):
        if count < least:
            endings = " ".join(IMAGE_ENDINGS)
            raise DataError(f"{folder / name} holds {count} image(s) ({endings}); expected at least {least}")


def _hold_out_test(images: list[LabelledPath]) -> tuple[list[LabelledPath], list[LabelledPath]]:
    """Take the last sixth of every class; the images of one class stand together."""
    by_class: dict[int, list[LabelledPath]] = {}
    for image in images:
        by_class.setdefault(image.label, []).append(image)
    train, test = [], []
    for members in by_class.values():
        cut = len(members) - max(1, len(members) // TEST_SHARE)
        train += members[:cut]
        test += members[cut:]
    return train, test


def _list_folders(folder: Path) -> list[Path]:
    return sorted(
        Path(entry.path)
        for entry in _scan(folder)
        if not entry.name.startswith(".") and entry.name not in IGNORED_FOLDERS and _is_folder(entry)
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # a link that leads in a circle
        raise DataError(f"cannot read {entry.path}: {error.strerror or error}") from error


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror or error}") from error


def _class_name(path: Path) -> str:
    # Class names go to cards, tables and pictures: they have to be text.
    if not path.name.isprintable():
        raise DataError(f"the folder {str(path)!r} has a name that cannot be printed; rename it: it is a class's name")
    return path.name
