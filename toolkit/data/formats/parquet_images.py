"""Parquet files with a column of encoded images and one of labels, as Hugging Face keeps them."""

from __future__ import annotations

__all__ = ["ParquetStore", "read_parquet_labels"]

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.containers.parquet import check_cell, choose_image_column, iterate_cells, open_parquet
from toolkit.data.formats.class_folders import ClassFiles, LabelledFiles
from toolkit.data.formats.tree import PictureStore
from toolkit.data.labels import list_names, name_labels
from toolkit.errors import DataError, failures_named
from toolkit.progress import OnNote

LABEL_NAMES = ("label", "labels", "class", "target", "y", "digit")
LABEL_ROWS = 4096
METADATA_KEY = b"huggingface"
UNKNOWN = -1


class _Shard(NamedTuple):
    """One file: its place in the store, its role, and its rows' numbers among all."""

    place: int
    role: str
    rows: range


class ParquetStore(PictureStore):
    """The rows of several Parquet files; a row's number is its place.

    Args:
        files: places of the files by role.
        store: where they lie.

    Raises:
        DataError: a file cannot be read.
        ResourceError: pyarrow is not installed.
    """

    words = " in Parquet files"

    def __init__(self, files: Mapping[str, Sequence[int]], store: PictureStore) -> None:
        self._store = store
        self.root = store.root
        self.shards: list[_Shard] = []
        start = 0
        for role, places in files.items():
            for place in places:
                with store.open(place) as stream:
                    count = open_parquet(stream, name=store.title(place)).metadata.num_rows
                self.shards.append(_Shard(place, role, range(start, start + count)))
                start += count

    def title(self, place: int) -> str:
        """Return `row N of FILE`, counted from 1 as those of a CSV are."""
        shard = next(shard for shard in self.shards if place in shard.rows)
        return f"row {place - shard.rows.start + 1} of {self._store.title(shard.place)}"

    def read(self, places: Sequence[int]) -> Iterator[tuple[int, bytes | str]]:
        """Yield the cells' bytes."""
        wanted = {place: position for position, place in enumerate(places)}
        for shard in self.shards:
            if not any(row in wanted for row in shard.rows):
                continue
            title = self._store.title(shard.place)
            with self._store.open(shard.place) as stream:
                file = open_parquet(stream, name=title)
                cells = iterate_cells(file, choose_image_column(file.schema_arrow, title), name=title)
                for row, cell in zip(shard.rows, cells, strict=True):
                    if row in wanted:
                        yield wanted[row], check_cell(cell, title=f"row {row - shard.rows.start + 1} of {title}")

    def open(self, place: int) -> AbstractContextManager[BinaryIO]:
        """Open one of the Parquet files."""
        return self._store.open(place)

    def file_title(self, shard: _Shard) -> str:
        """Return what one of the files is called in messages."""
        return self._store.title(shard.place)


def read_parquet_labels(store: ParquetStore, *, name: str, on_note: OnNote) -> ClassFiles:
    """Return the rows of each part with their classes.

    Labels are whole numbers, named by Hugging Face's metadata where these name them, or texts.

    Args:
        store: the files, `train` among their roles.
        name: the data set's.
        on_note: called with a sentence about labels that begin behind 0.

    Raises:
        DataError: no column of labels can be told, a row without a label, or what `name_labels` raises.
    """
    labels: dict[str, list[npt.NDArray[np.int64]]] = {}
    rows: dict[str, list[npt.NDArray[np.int64]]] = {}
    texts: dict[str, int] = {}
    given: tuple[str, ...] = ()
    notes = []
    for shard in store.shards:
        found, names = _read_labels(store, shard, texts=texts)
        if shard is not store.shards[0] and names != given:
            given_to = f"{list_names(names) or 'no classes'}, the files before it {list_names(given) or 'none'}"
            raise DataError(f"{store.file_title(shard)} names {given_to}; expected the same names in the same order")
        given = names
        _check_named(found, names, store=store, shard=shard)
        if shard.role != "train" and (found == UNKNOWN).all():
            notes.append(f"{store.file_title(shard)} holds no labels, so nothing can be judged by it: it is left out")
            continue
        if len(missing := np.flatnonzero(found == UNKNOWN)):
            raise DataError(f"{store.title(shard.rows[int(missing[0])])} has no label; expected one in each row")
        labels.setdefault(shard.role, []).append(found)
        rows.setdefault(shard.role, []).append(np.array(shard.rows, np.int64))
    joined = {role: np.concatenate(parts) for role, parts in labels.items()}
    classes = given
    if not classes:
        named = name_labels(joined, list(texts), name=name, on_note=on_note)
        joined, classes = named.labels, named.classes
    files = {role: LabelledFiles(np.concatenate(rows[role]), joined[role]) for role in joined}
    return ClassFiles.of_parts(files, classes=classes, title=name, notes=notes)


def _read_labels(
    store: ParquetStore, shard: _Shard, *, texts: dict[str, int]
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return a file's labels, -1 where there is none, and the classes' names where its metadata tell them."""
    import pyarrow as pa

    title = store.file_title(shard)
    with store.open(shard.place) as stream:
        file = open_parquet(stream, name=title)
        schema = file.schema_arrow
        choose_image_column(schema, title)  # Labels beside no pictures are not what is missing.
        named = _read_names(schema, title)
        column = _choose_label_column(schema, named, title=title)
        kind = schema.field(column).type
        if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or _is_text(kind)):
            raise DataError(f"{title} has labels of {kind} in its column {column}; expected whole numbers or texts")
        cells = iterate_cells(file, column, name=title, batch_rows=LABEL_ROWS)
        # Metadata name numbers; texts name themselves, whatever stands there.
        names = () if _is_text(kind) else named.get(column, ())
        numbers = [_to_number(cell, None if names else texts) for cell in cells]
    return np.array(numbers, np.int64), names


def _check_named(labels: npt.NDArray[np.int64], names: tuple[str, ...], *, store: ParquetStore, shard: _Shard) -> None:
    """Hold labels against the names that the metadata give them."""
    beyond = np.flatnonzero((labels >= len(names)) | (labels < UNKNOWN))
    if names and len(beyond):
        row = int(beyond[0])
        raise DataError(
            f"{store.title(shard.rows[row])} has the label {labels[row]}; its metadata name the classes 0 to "
            f"{len(names) - 1}: {list_names(names)}"
        )


def _to_number(cell: Any, texts: dict[str, int] | None) -> int:  # Any: whatever the cell holds
    """Return a label that metadata name as it is, another by its text: one file may hold 7, the next "7"."""
    if cell in (None, "", UNKNOWN):
        return UNKNOWN
    if texts is None:
        return int(cell)
    return texts.setdefault(cell if isinstance(cell, str) else str(int(cell)), len(texts))


def _is_text(kind: Any) -> bool:  # Any: pyarrow is untyped here
    import pyarrow as pa

    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value))


def _choose_label_column(schema: Any, named: Mapping[str, tuple[str, ...]], *, title: str) -> str:  # Any: as above
    """Return the column of labels: by its usual name, else the only one that the metadata call one."""
    by_name = {column.lower(): column for column in reversed(schema.names)}
    if usual := next((str(by_name[name]) for name in LABEL_NAMES if name in by_name), ""):
        return usual
    if len(named) == 1:
        return next(iter(named))
    seen = f"{len(named)} columns of labels ({', '.join(named)})" if named else "no column of labels"
    raise DataError(
        f"{title} has {seen} among {', '.join(schema.names[:20])}; expected one called {', '.join(LABEL_NAMES)}: "
        "rename it"
    )


def _read_names(schema: Any, title: str) -> dict[str, tuple[str, ...]]:  # Any: as above
    """Return the classes' names that Hugging Face's metadata tell, by column."""
    with failures_named(f"the metadata of {title}", kind="JSON"):
        told = json.loads((schema.metadata or {}).get(METADATA_KEY, b"{}"))
        features = told.get("info", {}).get("features", {})
        return {
            column: tuple(str(name) for name in feature["names"])
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and column in schema.names
        }
