"""What lies at a path and what a training would make of it, as a report: before anybody trains.

Keys:
    name: of the data set.
    taken_for: what it is taken for.
    sha256: of all pictures and class names: the data set's own hash.
    licence: of the pictures.
    classes: names, in the order of the labels.
    input: `height`, `width`, `channels`, `polarity` and `fit` of one picture, as in a card.
    train: `count`, and `per_class` how many.
    test: the same of the test part.
    train_pixels: `mean`, `std`, `min` and `max` of the training pixels, 0 to 255.
    bits: depth of the numbers that the pictures have.
    in_both: test images that also stand among the training images.
    validation: training images that a training holds out.
    gaps: classes that a part has no picture of, in sentences.
    pictures: `formats`, `sizes` and `bits`: of each how many.
    trains: whether a training takes it; else `problem` says why not.
    problem: why a training does not take it.
    predicts: of what is no data set: whether `toolkit predict` takes it.
    next: what to do.
    notes: what was told meanwhile.
"""

from __future__ import annotations

__all__ = ["inspect_data"]

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.data.catalog.entries import dataset_names
from toolkit.data.dataset import Dataset
from toolkit.data.describe import INFO_SCHEMA, describe_dataset, describe_split
from toolkit.data.gathered import GatheredPictures, digest_pictures
from toolkit.data.load import check_size, find_own, finish_own, load_dataset
from toolkit.data.split import count_validation
from toolkit.data.trainable import check_data, propose_size
from toolkit.errors import DataError
from toolkit.progress import OnNote, ShowProgress, tell_nobody
from toolkit.regular_file import printable_name

if TYPE_CHECKING:
    from toolkit.data.formats.class_folders import ClassFiles
    from toolkit.data.formats.decoding import EncodedPictures
    from toolkit.data.formats.survey import Survey
    from toolkit.data.sources import Layout
    from toolkit.data.strangers import NoDataset

BY_NAME = "a data set of the catalogue"


def inspect_data(
    name: str,
    *,
    size: tuple[int, int] | None = None,
    progress: ShowProgress = tell_nobody,
    on_note: OnNote = lambda _: None,
) -> dict[str, Any]:
    """Return a JSON-ready report on whatever a name or a path stands for.

    What is no data set has `taken_for`, `trains`, `predicts`, `problem`, `next` and `notes`.

    Args:
        name: a name or a path.
        size: as in `load_dataset`, like the rest.
        progress: see there.
        on_note: see there.

    Raises:
        UsageError: neither a name nor a path that exists.
        DataError: a data set that is damaged.
    """
    notes: list[str] = []

    def hear(sentence: str) -> None:
        notes.append(sentence)
        on_note(sentence)

    if name in dataset_names():
        dataset = load_dataset(name, size=size, progress=progress, on_note=hear)
        own = {"taken_for": BY_NAME, "pictures": _of_arrays(dataset), "notes": notes}
        return {**_describe(dataset, name, size=size), **own}
    check_size(size, name)
    from toolkit.data.sources import recognise_layout
    from toolkit.data.strangers import NoDatasetError

    path = find_own(name)
    try:
        layout = recognise_layout(path, on_note=hear)
    except NoDatasetError as error:
        return _describe_stranger(error.finding)
    report = _inspect_layout(layout, name, size=size, progress=progress, on_note=hear)
    return {"schema": INFO_SCHEMA, "taken_for": layout.words, **report, "notes": notes}


def _inspect_layout(
    layout: Layout, name: str, *, size: tuple[int, int] | None, progress: ShowProgress, on_note: OnNote
) -> dict[str, Any]:
    pictures = layout.open(on_note)
    if isinstance(pictures, GatheredPictures):
        dataset = finish_own(pictures, size=size, on_note=on_note)
        return {**_describe(dataset, name, size=size), "pictures": _of_arrays(dataset)}
    survey = pictures.survey()
    seen = {"pictures": _of_survey(survey)}
    if size is None and len(survey.sizes) > 1:
        for sentence in (*pictures.files.notes, *survey.notes):
            on_note(sentence)
        on_note(_tell_undecoded(name, survey))
        return {**_describe_unsized(pictures, survey, name=name), **seen}
    dataset = finish_own(pictures, survey=survey, size=size, progress=progress, on_note=on_note)
    return {**_describe(dataset, name, size=size), **seen}


def _describe(dataset: Dataset, name: str, *, size: tuple[int, int] | None) -> dict[str, Any]:
    """Return what is known of a whole data set."""
    validation = count_validation(len(dataset.train))
    report = {
        **describe_dataset(dataset),
        "bits": dataset.bits,
        "in_both": len(digest_pictures(dataset.test) & digest_pictures(dataset.train)),
        "validation": validation,
        "gaps": dataset.describe_gaps(),
    }
    try:
        check_data(dataset)
    except DataError as error:
        sides = propose_size([(dataset.height, dataset.width)])
        needs_size = sides != (dataset.height, dataset.width)
        step = _train(name, sides) if needs_size else "add pictures, or classes"
        return {**report, "trains": False, "problem": str(error), "next": step}
    return {**report, "trains": True, "next": _train(name, size)}


def _describe_unsized(pictures: EncodedPictures, survey: Survey, *, name: str) -> dict[str, Any]:
    """Return what is known of pictures of several sizes; none is decoded."""
    files = pictures.files
    return {
        "name": pictures.name,
        "classes": list(files.classes),
        **_count_files(files),
        "trains": False,
        "problem": f"its pictures have {len(survey.sizes):,} sizes; a network takes one",
        "next": _train(name, survey.proposed_size),
    }


def _count_files(files: ClassFiles) -> dict[str, Any]:
    train = files.train + files.validation
    parts = {"train": train.labels, "test": np.empty(0, np.int64) if files.test is None else files.test.labels}
    return {part: describe_split(labels, files.classes) for part, labels in parts.items()}


def _describe_stranger(found: NoDataset) -> dict[str, Any]:
    """Return what is known of what is no data set."""
    report = {
        "schema": INFO_SCHEMA,
        "taken_for": found.words,
        "trains": False,
        "predicts": found.is_predictable,
        "problem": f"{found.title} {found.words}",
        "next": found.step,
        "notes": [],
    }
    if found.store is None:
        return report
    from toolkit.data.formats.survey import survey_files

    damaged: list[str] = []
    survey = survey_files(found.store, np.array(found.places, np.int64), on_damage=damaged.append)
    return {**report, "pictures": _of_survey(survey), "notes": damaged}


def _of_survey(survey: Survey) -> dict[str, Any]:
    sizes = {size: seen.pictures for size, seen in survey.sizes.items()}
    kind = {"formats": dict(survey.formats.most_common()), "is_grey": survey.is_grey, "bits": survey.bits}
    return {**_describe_sizes(sizes), **kind}


def _of_arrays(dataset: Dataset) -> dict[str, Any]:
    count = len(dataset.train) + len(dataset.test)
    sizes = {(dataset.height, dataset.width): count}
    return {**_describe_sizes(sizes), "formats": {}, "is_grey": dataset.channels == 1, "bits": dataset.bits}


def _describe_sizes(sizes: Mapping[tuple[int, int], int]) -> dict[str, Any]:
    """Return how many pictures there are, and their sizes as [height, width]."""
    if not sizes:
        return {"count": 0}
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    common = max(by_area, key=lambda size: sizes[size])
    return {
        "count": sum(sizes.values()),
        "sizes": len(sizes),
        "smallest": list(by_area[0]),
        "largest": list(by_area[-1]),
        "most_common": {"size": list(common), "count": sizes[common]},
    }


def _tell_undecoded(name: str, survey: Survey) -> str:
    path, (height, width) = shlex.quote(printable_name(name)), survey.proposed_size
    return (
        f"{name}: only headers were read; pictures are decoded when a training begins, or by "
        f"toolkit data info {path} --size {height}x{width}: one that is cut is told then"
    )


def _train(name: str, size: tuple[int, int] | None) -> str:
    sized = "" if size is None else f" --size {size[0]}x{size[1]}"
    return f"toolkit train --data {shlex.quote(printable_name(name))}{sized}"
