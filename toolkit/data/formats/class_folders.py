"""Pictures sorted into classes and splits by the names of their folders, wherever these lie; nothing is opened."""

from __future__ import annotations

__all__ = ["ClassFiles", "JudgedFiles", "LabelledFiles", "find_class_files", "find_judged_files", "holds_classes"]

import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.counts import count_of
from toolkit.data.formats.shards import ROLE_OF, ROLES
from toolkit.data.formats.tree import Folder, PictureStore
from toolkit.data.formats.unusable import UnusablePictures
from toolkit.data.gathered import settle_parts
from toolkit.data.labels import list_names, sort_names
from toolkit.errors import DataError, escape_controls
from toolkit.imaging.endings import LeftOut, is_image_name

# How many folders may stand around the one that holds the classes.
MOST_AROUND = 3
EXPECTED = "expected train/<class>/* and test/<class>/*, or <class>/*"
SORT_THEM = "put the pictures of each class into a folder of its name"


class LabelledFiles(NamedTuple):
    """Files of a store with their classes.

    Attributes:
        places: int64 `[N]`, numbers in the store.
        labels: int64 `[N]`, indices into the classes.
    """

    places: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]

    def __add__(self, more: object) -> LabelledFiles:
        """Return these and then the others."""
        assert isinstance(more, LabelledFiles)
        return LabelledFiles(*(np.concatenate(pair) for pair in zip(self, more, strict=True)))


class ClassFiles(NamedTuple):
    """Files in one folder a class.

    Attributes:
        classes: the training classes' names, as `sort_names` sorts them.
        train: in no order that means anything, like the others.
        validation: empty where there is no validation part beside a test part.
        test: None where the test split has to be held out.
        notes: sentences about what was left out and how the splits came about.
    """

    classes: tuple[str, ...]
    train: LabelledFiles
    validation: LabelledFiles
    test: LabelledFiles | None
    notes: tuple[str, ...]

    @classmethod
    def of_parts(
        cls, parts: dict[str, LabelledFiles], *, classes: tuple[str, ...], title: str, notes: list[str]
    ) -> ClassFiles:
        """Return parts that lie apart; where there is no test part, the validation part is it."""
        told = [*notes]
        train, validation, test = settle_parts(parts, name=title, on_note=told.append)
        none = LabelledFiles(np.empty(0, np.int64), np.empty(0, np.int64))
        return cls(classes, train, validation or none, test, tuple(told))

    def judged(self) -> JudgedFiles:
        """Return the part that a model is judged on: the test part, else all."""
        files = self.train + self.validation if self.test is None else self.test
        return JudgedFiles(self.classes, files, self.test is None, ())


class JudgedFiles(NamedTuple):
    """The files that a model is judged on.

    Attributes:
        classes: the folders' names, as `sort_names` sorts them.
        files: of these classes.
        is_whole: whether these are all files, because there is no part for judging.
        notes: sentences about what was left out.
    """

    classes: tuple[str, ...]
    files: LabelledFiles
    is_whole: bool
    notes: tuple[str, ...]


def holds_classes(store: PictureStore) -> bool:
    """Say whether pictures lie in folders that could be classes."""
    top = _enter(store.root)
    return any(
        is_image_name(file.name)
        for folder in top.folders.values()
        for each in (folder, *folder.folders.values())
        for file in each.files
    )


def find_class_files(store: PictureStore) -> ClassFiles:
    """Find the pictures of `train/<class>/*` and `test/<class>/*`, or of `<class>/*`.

    The parts may also be called `training`, `testing`, `val`, `valid`, `validation`, in letters of any case, and all of
    it may lie in one more folder. Where there is no test part, the validation part is it; a validation part beside a
    test part is returned on its own. Folders are classes, never looked into further; two whose names differ in
    Unicode's spelling alone are one. Hidden names are left out, and so are files that are not named like an image.

    Raises:
        DataError: fewer than two classes, a class without a training image, pictures of a part without class folders, a
            folder in a class or beside the parts, a test class that is no training class, a class name that cannot be
            printed, or an image's name on something that cannot be read.
    """
    top = _enter(store.root)
    reader = _Reader(store)
    parts = _find_parts(top, reader)
    train = parts["train"]
    classes = sort_names(_list_classes(train))
    if len(classes) < 2:
        raise DataError(f"{_tell_few(train)}; expected at least 2 classes: {SORT_THEM}")
    found = {role: reader.read_part(part, classes) for role, part in parts.items()}
    reader.unusable.check()
    counts = np.bincount(found["train"].labels, minlength=len(classes))
    for name, count in zip(classes, counts, strict=True):
        if not count:
            step = f"add some, or remove the folder{reader.left_out.step}"
            raise DataError(f"{train.title} has no picture of the class {name}; {step}")
    return ClassFiles.of_parts(found, classes=classes, title=store.root.title, notes=reader.describe())


def find_judged_files(store: PictureStore) -> JudgedFiles:
    """Find the pictures that a model can be judged on: the test part, else the validation part, else all of them.

    Of the classes there may be any number, and the other parts may have others.

    Raises:
        DataError: as `find_class_files`, but for the classes' number; no picture at all.
    """
    reader = _Reader(store)
    parts = _find_parts(_enter(store.root), reader)
    role = next(role for role in ("test", "validation", "train") if role in parts)
    classes = sort_names(_list_classes(parts[role]))
    files = reader.read_part(parts[role], classes)
    reader.unusable.check()
    if not len(files.places):
        raise DataError(f"{parts[role].title} has no picture in its {count_of(len(classes), 'folder')}; {EXPECTED}")
    return JudgedFiles(classes, files, role == "train", tuple(reader.describe()))


def _enter(top: Folder) -> Folder:
    """Return the folder that holds the classes or the parts: the one that stands alone around them, or this one."""
    for _ in range(MOST_AROUND):
        if len(top.folders) != 1 or any(is_image_name(file.name) for file in top.files):
            break
        (only,) = top.folders.values()
        if not only.folders:
            break
        top = only
    return top


def _find_parts(top: Folder, reader: _Reader) -> dict[str, Folder]:
    """Return the folders of the parts by their role; where there are none, the folder itself is `train`."""
    named = {role: [f for name, f in top.folders.items() if ROLE_OF.get(name.lower()) == role] for role in ROLES}
    roles = {role: folders[0] for role, folders in named.items() if folders}
    strange = [folder for folder in top.folders.values() if folder not in roles.values()]
    # A folder `train` full of images is a class of that name: trains beside cars.
    if "train" not in roles or not (roles["train"].folders or not strange):
        reader.note_loose(top)
        return {"train": top}
    if not roles["train"].folders:
        raise DataError(
            f"{roles['train'].title} holds {count_of(_count_images(roles['train']), 'picture')} without class "
            f"folders, so nothing says what they show; {SORT_THEM}: {roles['train'].name}/cat/, "
            f"{roles['train'].name}/dog/"
        )
    if strange:
        raise DataError(f"{strange[0].title} stands beside the folder {roles['train'].name}; move it away: {EXPECTED}")
    for role in ("test", "validation"):
        if role in roles and not roles[role].folders:
            reader.note_unlabelled(roles.pop(role))
    for folder in roles.values():
        reader.note_loose(folder)
    return roles


class _Reader:
    """Reads parts, and takes note of what is left out on the way.

    Attributes:
        left_out: files that are not taken.
        unusable: images by their names that cannot be read.
    """

    def __init__(self, store: PictureStore) -> None:
        self._store = store
        self._notes: list[str] = []
        self.left_out = LeftOut()
        self.unusable = UnusablePictures()

    def describe(self) -> list[str]:
        """Return sentences about what was left out; of pictures in other formats loudly."""
        if not self.left_out:
            return self._notes
        word = "warning: " if self.left_out.num_pictures else ""
        return [f"{word}{self._store.root.title}: left out {self.left_out}{self.left_out.step}", *self._notes]

    def note_loose(self, folder: Folder) -> None:
        """Take note of pictures beside the folders of classes: nothing says what they show."""
        if count := _count_images(folder):
            self._notes.append(
                f"warning: loose pictures in {folder.title} itself, in no class's folder, are left out: {count}"
            )

    def note_unlabelled(self, folder: Folder) -> None:
        """Take note of a part without class folders."""
        if not (count := _count_images(folder)):
            return
        self._notes.append(
            f"{folder.title} holds {count_of(count, 'picture')} without class folders, so without labels: left out; "
            f"toolkit predict MODEL {folder.title} gives {'it a label' if count == 1 else 'them labels'}"
        )

    def read_part(self, part: Folder, classes: tuple[str, ...]) -> LabelledFiles:
        """Return a part's files.

        Raises:
            DataError: a class that is none of `classes`; and as `find_class_files`.
        """
        places: list[int] = []
        labels: list[int] = []
        numbers = {name: label for label, name in enumerate(classes)}
        for name, folders in _list_classes(part).items():
            if name not in numbers:
                raise DataError(
                    f"{part.title}/{name} has no class of this name among the training images: {list_names(classes)}; "
                    "rename it, or move it away; toolkit predict gives labels to pictures without"
                )
            found = [place for folder in folders for place in self._read_class(folder)]
            places += found
            labels += [numbers[name]] * len(found)
        return LabelledFiles(np.array(places, np.int64), np.array(labels, np.int64))

    def _read_class(self, folder: Folder) -> list[int]:
        if folder.folders:
            raise DataError(f"{next(iter(folder.folders.values())).title} is a folder inside a class; {EXPECTED}")
        places = []
        for file in folder.files:
            if not is_image_name(file.name):
                self.left_out.add(file.name)
            elif file.problem:
                title = self._store.title(file.place)
                self.unusable.add(file.place, title=title, problem=f"{title} {file.problem}; expected an image")
            else:
                places.append(file.place)
        for name in folder.hidden:
            self.left_out.add(name)
        return places


def _list_classes(part: Folder) -> dict[str, list[Folder]]:
    """Return the folders of each class by its name in NFC: more than one where they are spelt in two ways."""
    folders: dict[str, list[Folder]] = {}
    for name, folder in part.folders.items():
        # Class names go to cards, tables and pictures: they have to be text.
        if not name.isprintable():
            seen = escape_controls(folder.title)
            raise DataError(f"the folder {seen!r} has a name that cannot be printed; rename it: it is a class's name")
        folders.setdefault(unicodedata.normalize("NFC", name), []).append(folder)
    return folders


def _tell_few(train: Folder) -> str:
    """Say what there is in place of two classes."""
    for only in train.folders.values():
        if only.folders and not _count_images(only):
            return f"{train.title} has nothing but {only.name}, a folder of folders: they lie too deep"
        return f"{train.title} has pictures of one class, {only.name}"
    return f"{train.title} has no folder of pictures"


def _count_images(folder: Folder) -> int:
    return sum(is_image_name(file.name) for file in folder.files)
