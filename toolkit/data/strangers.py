"""What lies at a path that is no data set: what it is, in words, and what its owner can do."""

from __future__ import annotations

__all__ = ["NoDataset", "explain_file", "explain_store"]

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from toolkit.containers.kinds import HEAD_BYTES, Kind
from toolkit.counts import count_of
from toolkit.data.formats.shards import ROLE_OF
from toolkit.data.formats.tree import DiskStore, Folder, PictureStore
from toolkit.errors import DataError
from toolkit.imaging.endings import LeftOut, is_image_name
from toolkit.regular_file import open_regular, printable_name

TOGETHER = "save images and labels together with numpy.savez (x_train, y_train, x_test, y_test)"
SORT_THEM = "put the pictures of each class into a folder of its name (cat/, dog/)"
PICKLES = (".pkl", ".pickle", ".p", ".pt", ".pth", ".joblib")
# CIFAR's files for Python have no endings.
PICKLED_NAMES = ("data_batch_1", "test_batch", "batches.meta")
PICKLE_STEP = "a pickle can run any code and is never opened; get the data as pictures in class folders, NPZ or Parquet"
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".npz", ".7z", ".rar")
# By their first bytes: what it is, and what to do.
OTHER_KINDS = {
    b"\x89HDF": ("is an HDF5 file", TOGETHER),
    b"7z\xbc\xaf": ("is a 7z archive", "unpack it and name the folder"),
    b"Rar!": ("is a RAR archive", "unpack it and name the folder"),
    b"MATLAB": ("is a MATLAB file", TOGETHER),
    b"SQLite": ("is a database", "export the pictures into class folders"),
}
PICTURE_MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
PICKLE_MAGICS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
NAME_ONE = "name one of them"
AN_ARRAY = "is one array, without labels"
# A tree, or links that lead in circles, may have no end.
DEEPEST, MOST_FOLDERS = 10, 10_000
MOST_NAMED = 5
EXPECTED = (
    "expected class folders of pictures (plain, ZIP or tar), four IDX files, an NPZ, a CSV of pixels, or Parquet with "
    "images"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoDataset:
    """What was found.

    Attributes:
        title: the path.
        words: what it is.
        step: what to do.
        is_predictable: whether `toolkit predict` takes it as it is.
        store: where pictures lie that were seen; None without any.
        places: which.
    """

    title: str
    words: str
    step: str
    is_predictable: bool = False
    store: PictureStore | None = None
    places: tuple[int, ...] = ()

    def as_error(self) -> NoDatasetError:
        """Return the error that says so."""
        return NoDatasetError(f"{self.title} {self.words}; {self.step}", self)


class NoDatasetError(DataError):
    """A path that exists and is no data set.

    Attributes:
        finding: what it is.
    """

    def __init__(self, message: str, finding: NoDataset) -> None:
        super().__init__(message)
        self.finding = finding


def explain_file(path: Path, kind: Kind) -> NoDataset:
    """Say what a file is that is no data set.

    Raises:
        DataError: it cannot be read.
    """
    title = printable_name(str(path))
    with open_regular(path) as stream:
        head = stream.read(HEAD_BYTES)
    is_array = kind in {Kind.NPY, Kind.IDX, Kind.PACKED_ARRAY}
    if not is_array and not is_image_name(path.name) and not head.startswith(PICTURE_MAGICS):
        words, step = _judge_other(path, head)
        return NoDataset(title=title, words=words, step=step)
    predict = f"toolkit predict MODEL {title} gives {'labels' if is_array else 'it a label'}"
    if is_array:
        return NoDataset(title=title, words=AN_ARRAY, step=f"{TOGETHER}; {predict}", is_predictable=True)
    store = DiskStore(path.parent)
    return NoDataset(
        title=title,
        words="is a picture",
        step=f"a data set has many of each class: {SORT_THEM} and name the folder around them; {predict}",
        is_predictable=True,
        store=store,
        places=(store.add(str(path)),),
    )


def explain_store(store: PictureStore) -> NoDataset:
    """Say what a folder or an archive holds that is no data set.

    Raises:
        DataError: a folder cannot be listed.
    """
    top, title = store.root, store.root.title
    folders = list(islice(_walk(top), MOST_FOLDERS))
    pictures = tuple(file.place for each in folders for file in each.files if is_image_name(file.name))
    if not pictures:
        words, step = _judge_names([file.name for folder in folders for file in folder.files], store)
        return NoDataset(title=title, words=words, step=step)
    given = "it a label" if len(pictures) == 1 else "them labels"
    words, step = f"holds {count_of(len(pictures), 'picture')}", f"toolkit predict MODEL {title} gives {given}"
    if _has_pictures(top):
        words = (
            f"{words} and no class folders, so nothing says what {'it shows' if len(pictures) == 1 else 'they show'}"
        )
        step = f"{SORT_THEM}; {step}"
    else:
        inner = next(folder for folder in folders if any(map(_is_class_or_part, folder.folders.values())))
        words = f"{words} in folders too far down"
        step = f"name the folder that holds the classes, such as {inner.title}; {step}"
    return NoDataset(title=title, words=words, step=step, is_predictable=True, store=store, places=pictures)


def _judge_names(names: list[str], store: PictureStore) -> tuple[str, str]:
    """Return what files are of which none is a picture that is read."""
    if any(name in PICKLED_NAMES or name.lower().endswith(PICKLES) for name in names):
        return "holds pickles", PICKLE_STEP
    left_out = LeftOut(names)
    if left_out.num_pictures:
        return f"holds no picture that is read: {left_out}", left_out.step.removeprefix("; ")
    if inner := [name for name in names if name.lower().endswith(ARCHIVES)]:
        return f"holds archives ({_list(inner)})", NAME_ONE if not store.words else f"unpack it and {NAME_ONE}"
    if not names:
        found = "holds folders and no files" if store.root.folders else "is empty"
        return "; ".join((found, *store.notes)), EXPECTED
    return f"holds no pictures: {count_of(len(names), 'file')} ({_list(names)})", EXPECTED


def _judge_other(path: Path, head: bytes) -> tuple[str, str]:
    """Return what a file is that is neither a picture nor an array nor an archive, and what to do."""
    name, left_out = path.name.lower(), LeftOut([path.name])
    is_pickle = name.endswith(PICKLES) or path.name in PICKLED_NAMES or head.startswith(PICKLE_MAGICS)
    inspect = f"toolkit inspect {printable_name(str(path))} tells of it; {EXPECTED}"
    known = next((told for magic, told in OTHER_KINDS.items() if head.startswith(magic)), None)
    rules = (
        (not head, "is empty (0 bytes)", EXPECTED),
        (known is not None, *(known or ("", ""))),
        (name.endswith(".onnx"), "is a model, no data", inspect),
        (is_pickle, "is a pickle", PICKLE_STEP),
        (bool(left_out.num_pictures), f"is {left_out}, a format that is not read", left_out.step.removeprefix("; ")),
        (_is_text(head), "is text", f"{EXPECTED}; a table of pixels is told by its name's ending .csv"),
        (True, "is of no kind that is known", EXPECTED),
    )
    return next((words, step) for holds, words, step in rules if holds)


def _is_text(head: bytes) -> bool:
    try:
        # A character may be cut at the end.
        return "\0" not in head[:-4].decode()
    except UnicodeDecodeError:
        return False


def _walk(top: Folder) -> Iterator[Folder]:
    """Yield a folder and those below it, the nearer ones first, no further than anybody would keep a data set."""
    level = [top]
    for _ in range(DEEPEST):
        yield from level
        level = [child for folder in level for child in folder.folders.values()]


def _is_class_or_part(folder: Folder) -> bool:
    return _has_pictures(folder) or (
        folder.name.lower() in ROLE_OF and any(map(_has_pictures, folder.folders.values()))
    )


def _has_pictures(folder: Folder) -> bool:
    return any(is_image_name(file.name) for file in folder.files)


def _list(names: list[str]) -> str:
    return ", ".join(map(printable_name, names[:MOST_NAMED])) + (", ..." if len(names) > MOST_NAMED else "")
