"""Class names matched by name, wherever a data set and a model both carry them.

Names are compared in Unicode's NFC, in which data sets, runs and cards keep them.
"""

from __future__ import annotations

__all__ = ["list_names", "match_classes", "sort_names"]


from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from toolkit.errors import DataError, suggest
from toolkit.progress import OnNote

MOST_LISTED = 20


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
