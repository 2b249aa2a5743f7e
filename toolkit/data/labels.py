"""Labels that came as numbers or words beside pictures, turned into classes: one rule for tables and arrays."""

from __future__ import annotations

__all__ = ["MAX_CLASSES", "ClassLabels", "name_labels", "number_labels"]

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.data.classes import list_names, sort_names
from toolkit.errors import DataError
from toolkit.progress import OnNote

MAX_CLASSES = 1000
# As many digits as surely fit into 64 bits; some programs write 7 as 7.0.
WHOLE_NUMBER = re.compile(r"(-?\d{1,18})(?:\.0*)?", re.ASCII)


class ClassLabels(NamedTuple):
    """Labels with the names of their classes.

    Attributes:
        labels: by part: int64 `[N]`, indices into the classes; one outside them stays outside.
        classes: a name for each.
        has_names: whether the data name their classes; else the names spell out numbers.
    """

    labels: dict[str, npt.NDArray[np.int64]]
    classes: tuple[str, ...]
    has_names: bool


def number_labels(
    labels: Mapping[str, npt.NDArray[np.int64]], *, name: str, on_note: OnNote = lambda _: None
) -> ClassLabels:
    """Return labels that are numbers: a class for each from the smallest to the largest training label.

    Numbers that begin at 1 (EMNIST's letters) make no class "0" of which there is no picture; gaps stay classes.

    Args:
        labels: by part, `train` among them: int64 `[N]`.
        name: what the data are called.
        on_note: called with a sentence about labels that begin behind 0.

    Raises:
        DataError: they need more than a thousand classes.
    """
    least = max(0, min((int(part.min()) for part in labels.values() if len(part)), default=0))
    highest = max((int(part.max()) for part in labels.values() if len(part)), default=0)
    if highest - least >= MAX_CLASSES:
        raise DataError(f"{name}: a label is {highest}; expected {least} to {least + MAX_CLASSES - 1}")
    last = int(labels["train"].max(initial=least))
    classes = tuple(str(number) for number in range(least, last + 1))
    if least:
        on_note(f"{name}: labels begin at {least}, so the classes are {least} to {last}: there is no class 0")
    return ClassLabels({role: part - least for role, part in labels.items()}, classes, has_names=False)


def name_labels(
    labels: Mapping[str, npt.NDArray[np.int64]],
    texts: Sequence[str],
    *,
    name: str,
    on_note: OnNote = lambda _: None,
) -> ClassLabels:
    """Return labels that came as texts: as `number_labels` where all are whole numbers, else the texts are the classes.

    Args:
        labels: by part, `train` among them: int64 `[N]`, indices into `texts`.
        texts: as they stood there.
        name: what the data are called.
        on_note: called with a sentence about labels that begin behind 0.

    Raises:
        DataError: a class of another part that no training image has, too many classes, a name that cannot be printed.
    """
    matches = [WHOLE_NUMBER.fullmatch(text) for text in texts]
    if texts and all(matches):
        numbers = np.array([int(match[1]) for match in matches if match], np.int64)
        # Their rows are sorted later: a number of a row would then say nothing.
        if numbers.min() < 0:
            raise DataError(f"{name}: a label is {numbers.min()}; expected 0 or more, or words")
        return number_labels({role: numbers[part] for role, part in labels.items()}, name=name, on_note=on_note)
    plain = [unicodedata.normalize("NFC", text) for text in texts]
    if strange := next((text for text in plain if not text.isprintable()), None):
        raise DataError(f"{name}: the label {strange!r} cannot be printed; it is a class's name: write it otherwise")
    known = {plain[number] for number in np.unique(labels["train"])}
    if unknown := sorted(set(plain) - known):
        raise DataError(
            f"{name}: no training image is of {list_names(unknown)}; the classes are {list_names(sorted(known))}"
        )
    classes = sort_names(known)
    places = np.array([classes.index(text) for text in plain], np.int64)
    return ClassLabels({role: places[part] for role, part in labels.items()}, classes, has_names=True)
