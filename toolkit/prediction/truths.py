"""What a picture truly shows, where its name or its folder's tells."""

from __future__ import annotations

__all__ = ["Truths", "tell_truth", "tell_truth_of_folder"]

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence

from toolkit.data.labels import list_names
from toolkit.prediction.config import FROM_FILENAME

# So many strange folders are told apart: an archive may have millions.
MOST_FOLDERS = 1000


class Truths:
    """Tells the class of every row's source, and which folders are none.

    Args:
        way: `filename` or `folder`.
        classes: the model's.
    """

    def __init__(self, way: str, classes: Sequence[str]) -> None:
        self._way = way
        self._classes = classes
        self._strange: Counter[str] = Counter()

    def of_sources(self, sources: Sequence[str]) -> list[str]:
        """Return the class of each, "" where nothing tells it."""
        if self._way == FROM_FILENAME:
            return [tell_truth(source, self._classes) for source in sources]
        return [self._of_folder(source) for source in sources]

    def describe(self) -> list[str]:
        """Return one sentence about the folders that are no class; none where all are."""
        if not self._strange:
            return []
        names = list_names([name or "the folder without a name" for name, _ in self._strange.most_common()])
        told = f"{self._strange.total():,} ({names})"
        known = list_names(self._classes)
        return [f"rows not scored, as their folder is no class of the model: {told}; its classes are {known}"]

    def _of_folder(self, source: str) -> str:
        truth, folder = tell_truth_of_folder(source, self._classes)
        if not truth and (folder in self._strange or len(self._strange) < MOST_FOLDERS):
            self._strange[folder] += 1
        return truth


def tell_truth(source: str, classes: Sequence[str]) -> str:
    """Return the class that a file's name begins with, the longest one where several fit, or "" where none does.

    For digits that is the first character: `7-second-try.png` is a 7, as in the tutorial's folder of own handwriting.
    """
    name = unicodedata.normalize("NFC", source.replace("!", "/").replace("\\", "/").rsplit("/", 1)[-1])
    fitting = [label for label in classes if label and name.startswith(label)]
    return max(fitting, key=len, default="")


def tell_truth_of_folder(source: str, classes: Sequence[str]) -> tuple[str, str]:
    """Return the class that the folder which directly holds a picture is named like, or "", and that folder's name.

    Of a member of an archive, `scans.zip!7/x.png`, that is the folder in the archive. Names are compared in Unicode's
    NFC, as everywhere.
    """
    parent = source.replace("\\", "/").rpartition("/")[0]
    folder = parent.rpartition("/")[2]
    if folder in {"", ".", ".."}:  # of `x.png` itself: whatever this process works in
        folder = os.path.basename(os.path.abspath(parent))  # noqa: PTH100, PTH119 - text of a row, not a Path of a file
    known = {unicodedata.normalize("NFC", name): name for name in classes}
    for name in (folder, folder.rpartition("!")[2]):
        if truth := known.get(unicodedata.normalize("NFC", name), ""):
            return truth, folder
    return "", folder
