"""Files whose names say which part of which data set they hold: found in a folder or below, whatever their prefix."""

from __future__ import annotations

__all__ = ["ROLES", "ROLE_OF", "FileSet", "choose_set", "find_sets"]

import re
from collections.abc import Sequence
from typing import NamedTuple

from toolkit.data.formats.tree import Folder, FoundFile, PictureStore
from toolkit.errors import DataError

# torchvision's root holds `MNIST/raw/`.
DEEPEST = 2
ROLES = {
    "train": ("train", "training"),
    "test": ("t10k", "test", "testing"),
    "validation": ("val", "valid", "validation"),
}
ROLE_OF = {word: role for role, words in ROLES.items() for word in words}
MOST_LISTED = 20


class FileSet(NamedTuple):
    """The files of one data set.

    Attributes:
        folder: where they lie.
        prefix: what their names begin with, such as `emnist-letters-`; may be empty.
        files: sorted by name; by the part's role, and what else the pattern tells apart.
    """

    folder: Folder
    prefix: str
    files: dict[tuple[str, str], list[FoundFile]]

    @property
    def places(self) -> set[int]:
        """The files' numbers in the store."""
        return {file.place for files in self.files.values() for file in files}


def find_sets(top: Folder, pattern: str) -> list[FileSet]:
    """Return the data sets whose files have such names; of the folders below, the nearest that have any.

    Args:
        top: where to look first.
        pattern: of a name behind its prefix, in letters of any case. `ROLE` in it stands for a part's word; a group
            `content` tells further files apart.
    """
    words = "|".join(sorted(ROLE_OF, key=len, reverse=True))
    rule = re.compile(rf"(?P<prefix>(?:.*[-_. ])?){pattern.replace('ROLE', f'(?P<role>{words})')}", re.IGNORECASE)
    level = [top]
    for _ in range(DEEPEST + 1):
        if sets := [each for folder in level for each in _group(folder, rule)]:
            return sets
        level = [child for folder in level for child in folder.folders.values()]
    return []


def choose_set(sets: Sequence[FileSet], *, store: PictureStore, kind: str) -> FileSet:
    """Return the only data set.

    Raises:
        DataError: there are several; lists them, and what to name instead.
    """
    if len(sets) == 1:
        return sets[0]
    names = [store.title(min(each.places)) for each in sets[:MOST_LISTED]]
    step = "unpack it and name one file of one" if "!" in names[0] else "name a file of one"
    raise DataError(f"{store.root.title} holds {len(sets)} data sets as {kind}; {step}, such as {', '.join(names)}")


def _group(folder: Folder, rule: re.Pattern[str]) -> list[FileSet]:
    sets: dict[str, FileSet] = {}
    for file in sorted(folder.files):
        if not (match := rule.fullmatch(file.name)):
            continue
        found = match.groupdict(default="")
        own = sets.setdefault(found["prefix"], FileSet(folder, found["prefix"], {}))
        key = (ROLE_OF[found["role"].lower()], found.get("content", "").lower())
        own.files.setdefault(key, []).append(file)
    return list(sets.values())
