"""Data as a program gives them: a name, a path, arrays, or a data set."""

from __future__ import annotations

__all__ = ["Data", "is_own", "load_given", "load_judged", "load_recorded", "locate_data", "remember_data"]

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from toolkit.api.listener import Listener
from toolkit.data.catalog.entries import dataset_names
from toolkit.data.dataset import Dataset
from toolkit.data.formats.given_arrays import gather_arrays
from toolkit.data.load import finish_own, load_dataset
from toolkit.data.pictures import LabelledPictures, judge_arrays, load_pictures
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    # A name or a path; (images, labels); (images, labels) to learn from and (images, labels) to judge by; a data set.
    Data: TypeAlias = (
        str
        | os.PathLike[str]
        | tuple[ArrayLike, ArrayLike]
        | tuple[tuple[ArrayLike, ArrayLike], tuple[ArrayLike, ArrayLike]]
        | Dataset
    )


def load_given(
    data: Data, *, listener: Listener, size: tuple[int, int] | None = None, polarity: str | None = None
) -> Dataset:
    """Return the data set that was given.

    Args:
        data: a name, a path, arrays or a data set.
        listener: hears how far it is, and what was left out or changed.
        size: height and width to which a user's own images are resized; None leaves them.
        polarity: what a user's own images are; None: told from the training images.

    Raises:
        UsageError: there is no such name or path, or it is something else; and what `load_dataset` raises.
    """
    if isinstance(data, Dataset):
        if size is not None or polarity is not None:
            raise UsageError("a Dataset has its size and polarity; size and polarity are for names, paths and arrays")
        return data
    if isinstance(data, tuple | list):
        gathered = gather_arrays(data, on_note=listener.note)
        return finish_own(gathered, size=size, polarity=polarity, on_note=listener.note)
    name = _name_of(data)
    with listener.progress(f"loading {Path(name).name}", unit="bytes") as bar:
        return load_dataset(name, size=size, polarity=polarity, progress=bar, on_note=listener.note)


def load_recorded(
    data: Data | None, recorded: Mapping[str, Any], *, listener: Listener, size: tuple[int, int]
) -> Dataset:
    """Return the data set given, else the one that a run or a card records, where it was then or by its name.

    What was left out or changed of a recorded one was said when it was trained on; that it is the same is the caller's
    to see.

    Args:
        data: as given; None where nothing was.
        recorded: the `data` of a run or a card.
        listener: hears how far it is, and which was chosen.
        size: height and width of the model's images, to which a user's own are brought as they were for the training.

    Raises:
        UsageError: the recorded one has to be named again.
    """
    if data is not None:
        return load_given(data, listener=listener, size=size if is_own(data) else None)
    if not recorded.get("name"):
        raise UsageError(
            "the model does not tell what it was trained on; name a folder, a file or a data set with --data"
        )
    chosen = recorded.get("source") or recorded["name"]
    try:
        with listener.progress(f"loading {Path(chosen).name}", unit="bytes") as bar:
            dataset = load_dataset(chosen, size=size if locate_data(chosen) else None, progress=bar)
    except UsageError as error:
        raise UsageError(
            f"the data set {recorded['name']!r} is not in the catalogue; name its folder or file with --data"
        ) from error
    listener.choose("--data", chosen)
    return dataset


def load_judged(
    data: Data, recorded: Mapping[str, Any], *, listener: Listener, size: tuple[int, int]
) -> LabelledPictures:
    """Return what a model is to be judged on: as `load_pictures`; of arrays without a test part all of them.

    Args:
        data: as given.
        recorded: the `data` of the run or the card.
        listener: hears how far it is, and what was left out or changed.
        size: height and width of the model's images.

    Raises:
        UsageError, DataError: as `load_pictures`.
    """
    if isinstance(data, Dataset):
        return LabelledPictures.of_test(data)
    if isinstance(data, tuple | list):
        gathered = gather_arrays(data, on_note=listener.note)
        return judge_arrays(gathered, Path(gathered.name), trained_on=recorded, size=size, on_note=listener.note)
    name = _name_of(data)
    with listener.progress(f"loading {Path(name).name}", unit="bytes") as bar:
        return load_pictures(name, trained_on=recorded, size=size, progress=bar, on_note=listener.note)


def is_own(data: Data | None) -> bool:
    """Tell whether data are a user's own, arrays or files, that are brought to a size; a `Dataset` has one."""
    return isinstance(data, tuple | list) or bool(locate_data(data))


def locate_data(data: Data | None) -> str:
    """Return where data lie that are no catalogue's, as an absolute path; empty for a catalogue's and for arrays."""
    if data is None or not isinstance(data, str | os.PathLike) or os.fspath(data) in dataset_names():
        return ""
    return str(Path(data).resolve())


def remember_data(subject: object, data: Data | None) -> Data | None:
    """Return the data given; else those that a report has at hand because they lie in no file."""
    kept = getattr(subject, "data", None)
    return kept if data is None and isinstance(kept, Dataset) else data


def _name_of(data: object) -> str:
    if not isinstance(data, str | os.PathLike):
        raise UsageError(
            f"the data are of type {type(data).__name__}; expected a name, a path, (images, labels), a toolkit.Dataset"
        )
    return os.fspath(data)
