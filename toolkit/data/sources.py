"""What lies at a path, told by content and names, and how it is opened: the one place that knows every layout."""

from __future__ import annotations

__all__ = ["JudgedPictures", "Layout", "Pictures", "recognise_layout"]

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from toolkit.containers.kinds import Kind, judge_file
from toolkit.data.formats.class_folders import JudgedFiles, find_class_files, find_judged_files, holds_classes
from toolkit.data.formats.csv_pixels import CSV_PATTERN, load_csv
from toolkit.data.formats.idx_sets import find_idx_sets, load_idx_set
from toolkit.data.formats.shards import ROLES, FileSet, choose_set, find_sets
from toolkit.data.formats.tree import DiskStore, FoundFile, PictureStore
from toolkit.data.gathered import GatheredPictures
from toolkit.data.strangers import explain_file, explain_store
from toolkit.progress import OnNote

if TYPE_CHECKING:
    from toolkit.data.formats.decoding import EncodedPictures

# `train-00000-of-00001.parquet`, `mnist_test.parquet`.
PARQUET_PATTERN = r"ROLE(?:[-_.].*)?\.parquet"
CSV_ENDINGS = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz")
PARQUET_ENDING, NPZ_ENDING, NPY_ENDING = ".parquet", ".npz", ".npy"
# What a file's name ends in where a data set is called by the rest of it.
ENDINGS = (
    *CSV_ENDINGS,
    ".tar.gz",
    ".tar.bz2",
    ".tar.xz",
    ".tgz",
    ".tbz2",
    ".txz",
    ".tar",
    ".zip",
    NPZ_ENDING,
    PARQUET_ENDING,
)

Pictures: TypeAlias = "GatheredPictures | EncodedPictures"


class JudgedPictures(NamedTuple):
    """Files that a model is judged on, and where they lie."""

    store: PictureStore
    files: JudgedFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a data set lies at a path; nothing of it is opened yet.

    Attributes:
        words: what it is, such as "class folders in a ZIP archive".
        name: what the data set is called.
        store: where its files lie; None for NPZ.
        open: reads labels and arrays; encoded pictures stay encoded. Called with what hears notes.
        find_judged: finds the part that a model is judged on, where that is not `open`'s test part.
    """

    words: str
    name: str
    store: PictureStore | None
    open: Callable[[OnNote], Pictures]
    find_judged: Callable[[], JudgedPictures] | None = None


def recognise_layout(path: Path, *, on_note: OnNote = lambda _: None) -> Layout:
    """Tell what lies at a path that exists.

    Args:
        path: a file or a folder.
        on_note: called with a sentence about names in an archive that are not taken as they stand.

    Raises:
        DataError: it cannot be a data set; says what it is and what to do. A data set is damaged, or several lie there.
    """
    if path.is_dir():
        return _recognise_store(DiskStore(path), name=path.resolve().name or "folder")
    layout = _recognise_file(path, name=_name_of(path))
    for words in () if layout.store is None else layout.store.notes:
        on_note(f"{path}: {words}")
    return layout


def _recognise_file(path: Path, *, name: str) -> Layout:
    if path.name.lower().endswith(CSV_ENDINGS):
        store, place = _alone(path)
        return _open_csv({"train": place}, store, name=name)
    is_npz = path.suffix.lower() == NPZ_ENDING
    kind = Kind.ZIP if is_npz else judge_file(str(path))
    if is_npz or (kind == Kind.ZIP and _holds_arrays(path)):
        return _open_npz(path)
    if kind in {Kind.ZIP, Kind.TAR}:
        from toolkit.data.formats.archives import open_archive

        return _recognise_store(open_archive(path, kind), name=name)
    if kind == Kind.PARQUET:
        store, place = _alone(path)
        return _open_parquet({"train": [place]}, store, name=name)
    if kind in {Kind.IDX, Kind.PACKED_ARRAY} and (found := _find_own_idx_set(path)):
        return found
    raise explain_file(path, kind).as_error()


def _recognise_store(store: PictureStore, *, name: str) -> Layout:
    """Tell what a folder or an archive holds; what is told at sight before what could be anything."""
    if sets := find_idx_sets(store.root):
        return _open_idx(choose_set(sets, store=store, kind="IDX files"), store, name=name)
    if holds_classes(store):
        return _open_class_folders(store, name=name)
    if sets := find_sets(store.root, PARQUET_PATTERN):
        parts = _list_parts(choose_set(sets, store=store, kind="Parquet"))
        return _open_parquet({role: _places(files) for role, files in parts.items()}, store, name=name)
    if shards := [file for file in store.root.files if file.name.lower().endswith(PARQUET_ENDING)]:
        return _open_parquet({"train": _places(shards)}, store, name=name)
    if sets := find_sets(store.root, CSV_PATTERN):
        parts = _list_parts(choose_set(sets, store=store, kind="tables of pixels"))
        return _open_csv({role: files[0].place for role, files in parts.items()}, store, name=name)
    return _recognise_only_file(store, name=name)


def _recognise_only_file(store: PictureStore, *, name: str) -> Layout:
    """Tell what a folder or an archive with one file for all parts holds."""
    tables = [file for file in store.root.files if file.name.lower().endswith(CSV_ENDINGS)]
    if len(tables) == 1:
        return _open_csv({"train": tables[0].place}, store, name=name)
    arrays = [file for file in store.root.files if file.name.lower().endswith(NPZ_ENDING)]
    if len(arrays) == 1 and isinstance(store, DiskStore):
        return _open_npz(store.path(arrays[0].place))
    raise explain_store(store).as_error()


def _open_class_folders(store: PictureStore, *, name: str) -> Layout:
    def open_them(on_note: OnNote) -> Pictures:
        from toolkit.data.formats.decoding import EncodedPictures

        del on_note  # the files' own notes are told when they are read
        return EncodedPictures(name=name, store=store, files=find_class_files(store))

    return Layout(
        words=f"class folders of pictures{store.words}",
        name=name,
        store=store,
        open=open_them,
        find_judged=lambda: JudgedPictures(store, find_judged_files(store)),
    )


def _open_idx(found: FileSet, store: PictureStore, *, name: str) -> Layout:
    return Layout(
        words=f"IDX files{store.words}" + (f" (in {found.folder.title})" if found.folder is not store.root else ""),
        name=name,
        store=store,
        open=lambda on_note: load_idx_set(found, store=store, name=name, on_note=on_note),
    )


def _open_npz(path: Path) -> Layout:
    def open_it(on_note: OnNote) -> Pictures:
        from toolkit.data.formats.npz import load_npz

        return load_npz(path, on_note=on_note)

    return Layout(words="arrays in an NPZ file", name=path.stem, store=None, open=open_it)


def _open_csv(parts: dict[str, int], store: PictureStore, *, name: str) -> Layout:
    return Layout(
        words=f"{'tables' if len(parts) > 1 else 'a table'} of pixels (CSV)",
        name=name,
        store=store,
        open=lambda on_note: load_csv(parts, store=store, name=name, on_note=on_note),
    )


def _open_parquet(parts: dict[str, list[int]], store: PictureStore, *, name: str) -> Layout:
    def open_them(on_note: OnNote) -> Pictures:
        from toolkit.data.formats.decoding import EncodedPictures
        from toolkit.data.formats.parquet_images import ParquetStore, read_parquet_labels

        rows = ParquetStore(parts, store)
        return EncodedPictures(name=name, store=rows, files=read_parquet_labels(rows, name=name, on_note=on_note))

    return Layout(words="pictures in Parquet files", name=name, store=store, open=open_them)


def _find_own_idx_set(path: Path) -> Layout | None:
    """Return the data set of which a file is a part."""
    store = DiskStore(path.parent)
    place = next((file.place for file in store.root.files if file.name == path.name), None)
    found = next((each for each in find_idx_sets(store.root) if place in each.places), None)
    if found is None:
        return None
    return _open_idx(found, store, name=found.prefix.rstrip("-_. ") or path.resolve().parent.name or "folder")


def _alone(path: Path) -> tuple[DiskStore, int]:
    """Return a store that knows one file, and its place."""
    store = DiskStore(path.parent)
    return store, store.add(str(path))


def _holds_arrays(path: Path) -> bool:
    """Say whether a ZIP archive is an NPZ file under another name."""
    from toolkit.data.formats.archives import ZipStore

    return any(file.name.endswith(NPY_ENDING) for file in ZipStore(path).root.files)


def _name_of(path: Path) -> str:
    ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), path.suffix)
    return path.name[: len(path.name) - len(ending)] or path.name


def _list_parts(found: FileSet) -> dict[str, list[FoundFile]]:
    """Return the files of each part there is, the training's first; where that is not there, the first is it alone."""
    parts = {role: found.files[role, ""] for role in ROLES if (role, "") in found.files}
    return parts if "train" in parts else {"train": next(iter(parts.values()))}


def _places(files: list[FoundFile]) -> list[int]:
    return [file.place for file in files]
