"""Labels beside pictures, numbers or words, turned into classes; classes matched by name with those of a model.

Names are compared in Unicode's NFC, in which data sets, runs and cards keep them.
"""

from __future__ import annotations

__all__ = ["MAX_CLASSES", "ClassLabels", "list_names", "match_classes", "name_labels", "number_labels", "sort_names"]

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.errors import DataError, suggest
from toolkit.progress import OnNote

MOST_LISTED = 20

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


def match_classes(
    names: Sequence[str],
    known: Sequence[str],
    *,
    owner: str,
    knower: str,
    used: npt.NDArray[np.int64],
    are_numbers: bool = False,
    on_note: OnNote = lambda _: None,
) -> npt.NDArray[np.int64]:
    """Return the place that each class of a data set has among a model's.

    Labels that are numbers without names stand for the classes in their order where there are as many; never where a
    number is itself one of the names.

    Args:
        names: the data set's K classes.
        known: the model's classes.
        owner: what the data set is called.
        knower: what the model is called.
        used: the labels that occur; a name that no picture has need not be known.
        are_numbers: whether the data carry numbers only, which `names` spells out.
        on_note: called with a sentence where the order was trusted.

    Returns:
        int64 `[K]`; -1 for a class without pictures that the model does not know.

    Raises:
        DataError: lists the names that have pictures and are unknown.
    """
    places = {name: place for place, name in enumerate(known)}
    unknown = [names[label] for label in np.unique(used).tolist() if names[label] not in places]
    if unknown and are_numbers:
        if len(names) != len(known) or places.keys() & set(names):
            raise DataError(
                f"{owner} numbers its classes {names[0]} to {names[-1]} and names none; {knower} knows {len(known)} by "
                f"name: {list_names(known)}; give the data's names (`classes` in an NPZ file, or folders)"
            )
        on_note(f"{owner} names no classes: {names[0]} to {names[-1]} are taken for {list_names(known)}, in this order")
        return np.arange(len(names))
    if unknown:
        raise DataError(
            f"{owner} has classes that {knower} does not know: {list_names(unknown)}{suggest(unknown[0], known)}; it "
            f"knows {list_names(known)}: rename the data's classes, or name other data"
        )
    return np.array([places.get(name, -1) for name in names], np.int64)


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return class names sorted: as numbers where all of them are whole numbers, else as text."""
    every = sorted(names)
    are_numbers = all(name.isascii() and name.isdigit() for name in every)
    return tuple(sorted(every, key=int) if are_numbers else every)


def list_names(names: Sequence[str]) -> str:
    """Return names for a message, the first twenty of many."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more
