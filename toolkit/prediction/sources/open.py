"""What a user names in, what has to be predicted out: every kind of source behind one call, nothing decoded yet."""

from __future__ import annotations

__all__ = [
    "STDIN",
    "find_total",
    "open_items",
    "open_packed",
    "read_paths",
    "refuse_output_among",
    "tidy_path",
    "walk_inputs",
]

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from toolkit.card import InputSpec
from toolkit.containers.kinds import ARRAY_KINDS, Kind, judge_file
from toolkit.errors import DataError, UsageError
from toolkit.imaging.endings import is_image_name
from toolkit.prediction.sources.items import ImageItem, Item, PackedFile
from toolkit.prediction.sources.listing import expand_glob, is_glob, iterate_folder, list_folder
from toolkit.progress import OnNote
from toolkit.regular_file import printable_name

STDIN = "-"
CHUNK_BYTES = 1 << 16
# Linux ends a path at 4,096 bytes, Windows at 32,767 letters.
MAX_PATH_BYTES = 1 << 17


def open_items(
    inputs: Iterable[Path | str],
    *,
    on_note: OnNote | None = None,
    stdin: BinaryIO | None = None,
    outputs: Sequence[Path] = (),
    spec: InputSpec | None = None,
) -> Iterator[Item]:
    """Yield what every source holds, in order; nothing is opened before it is asked for, and nothing raises for data.

    A source is a file, a folder (searched through, sorted, links to folders not followed), a pattern that names no file
    itself (`scans/**/*.png`, quoted), or `-`: a list of any of these on standard input, one a line, or ended by NUL.
    A file is judged by its content: an image, NPY, IDX (both also in gzip), NPZ or ZIP, tar (also in gzip, bzip2, xz),
    Parquet. Files that a folder, a pattern or the list names with an image's ending are taken for images unopened.

    The same sources give the same items in the same order. Blocks of arrays have at most 4,096 images and 64 MiB.
    Whatever cannot be used is one item without content.

    Args:
        inputs: the sources.
        on_note: called with one sentence about what was left out on purpose.
        stdin: where a list comes from; binary.
        outputs: files that are going to be replaced, which a list must not name.
        spec: what the model takes, which tells how arrays hold pictures.

    Raises:
        UsageError: a list names one of `outputs`.
        ResourceError: a Parquet file, and pyarrow is not installed.
    """
    for entry in walk_inputs(inputs, on_note=on_note, stdin=stdin, outputs=outputs):
        if isinstance(entry, PackedFile):
            yield from open_packed(entry, on_note=on_note, spec=spec)
        else:
            yield entry


def walk_inputs(
    inputs: Iterable[Path | str],
    *,
    on_note: OnNote | None = None,
    stdin: BinaryIO | None = None,
    outputs: Sequence[Path] = (),
) -> Iterator[Item | PackedFile]:
    """Yield every source's pictures, and files that hold many unopened; arguments and errors as of `open_items`."""
    is_read = False
    for given in inputs:
        path = os.fspath(given)
        if path != STDIN:
            yield from _walk_source(tidy_path(path), on_note=on_note, is_named=True)
        elif stdin is None or is_read:
            reason = "can be read once" if is_read else "is not at hand"
            yield ImageItem(STDIN, 0, None, f"standard input {reason}; give - once, with a list of paths on it")
        else:
            is_read = True
            yield from _walk_list(stdin, on_note=on_note, outputs=outputs)


def open_packed(packed: PackedFile, *, on_note: OnNote | None = None, spec: InputSpec | None = None) -> Iterator[Item]:
    """Yield what a file holds; arguments and errors as of `open_items`."""
    try:
        yield from _open_file(packed.path, packed.kind, on_note=on_note, spec=spec)
    except (OSError, ValueError, DataError) as error:
        yield _describe_problem(packed.path, error)


def find_total(inputs: Iterable[Path | str], spec: InputSpec) -> int | None:
    """Return the rows of images that are named and of plain NPY and IDX files; None where any input is something else.

    Counting a folder would list it twice: 8 us a file where a picture takes 22.

    Args:
        inputs: as for `open_items`.
        spec: what the model takes.
    """
    total = 0
    for given in inputs:
        count = _count_rows(tidy_path(os.fspath(given)), spec)
        if count is None:
            return None
        total += count
    return total


def refuse_output_among(source: str, outputs: Sequence[Path]) -> None:
    """Refuse a source that is a file to be replaced, or a folder or a pattern that holds one.

    Args:
        source: as `open_items` takes it.
        outputs: files that exist.

    Raises:
        UsageError: it does; names the file.
    """
    for output in outputs:
        if any(_is_same(path, output) for path in _files_of(source, has_images=is_image_name(output.name))):
            raise UsageError(f"the output {output} is also an input; choose another name")


def read_paths(stream: BinaryIO) -> Iterator[str]:
    """Yield paths, one a line; ended by NUL instead of a newline where the first piece that comes holds a NUL.

    Empty ones are left out. At most one piece of the stream and one path are held.

    Raises:
        DataError: no path ends for 131,072 bytes: that is no list.
    """
    read = getattr(stream, "read1", stream.read)
    rest = read(CHUNK_BYTES)
    separator = b"\0" if b"\0" in rest else b"\n"
    while True:
        *paths, rest = rest.split(separator)
        yield from _decode(paths, separator)
        if len(rest) > MAX_PATH_BYTES:
            raise DataError("standard input holds no list of paths: one of them does not end; expected one a line")
        chunk = read(CHUNK_BYTES)
        if not chunk:
            yield from _decode([rest], separator)
            return
        rest += chunk


def tidy_path(path: str) -> str:
    """Return a path as Path writes it: `./a//b/` is `a/b`; one that is tidy costs nothing."""
    is_tidy = not path.startswith("./") and "//" not in path and "/./" not in path and not path.endswith("/")
    return path if is_tidy or not path else str(Path(path))


def _walk_list(stdin: BinaryIO, *, on_note: OnNote | None, outputs: Sequence[Path]) -> Iterator[Item | PackedFile]:

    try:
        for path in read_paths(stdin):
            if path == STDIN:
                yield ImageItem(STDIN, 0, None, "a list of paths cannot hold -; expected files, folders or patterns")
            else:
                refuse_output_among(path, outputs)
                yield from _walk_source(tidy_path(path), on_note=on_note, is_named=False)
    except DataError as error:
        yield ImageItem(STDIN, 0, None, str(error))


def _walk_source(path: str, *, on_note: OnNote | None, is_named: bool) -> Iterator[Item | PackedFile]:
    if not is_glob(path):
        yield from _walk_path(path, on_note=on_note, is_named=is_named)
        return
    is_empty = True
    for match in expand_glob(path):
        is_empty = False
        yield from _walk_path(match, on_note=on_note, is_named=False)
    if is_empty:
        name = printable_name(path)
        yield ImageItem(name, 0, None, f"{name} matches no file, and no file has that name")


def _walk_path(path: str, *, on_note: OnNote | None, is_named: bool) -> Iterator[Item | PackedFile]:
    name = printable_name(path)
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - no Path for every file of a list
        if stat.S_ISDIR(mode):
            yield from iterate_folder(path, on_note=on_note)
        elif not stat.S_ISREG(mode):
            yield ImageItem(name, 0, None, f"{name} is not a regular file and was not opened")
        elif not is_named and is_image_name(path):  # of a million files none is opened before its turn
            yield ImageItem(name, 0, path)
        else:
            kind = judge_file(path)
            yield ImageItem(name, 0, path) if kind == Kind.IMAGE else PackedFile(path, kind)
    except (OSError, ValueError, DataError) as error:
        yield _describe_problem(path, error)


def _open_file(path: str, kind: Kind, *, on_note: OnNote | None, spec: InputSpec | None) -> Iterator[Item]:
    # Every kind is imported when it is met: one PNG must not pay for the others.
    if kind in ARRAY_KINDS:
        from toolkit.prediction.sources.arrays import iterate_array_file

        return iterate_array_file(path, kind, on_note=on_note, spec=spec)
    if kind == Kind.PARQUET:
        from toolkit.prediction.sources.parquet import iterate_parquet

        return iterate_parquet(path)
    from toolkit.prediction.sources.archives import iterate_tar, iterate_zip

    if kind == Kind.ZIP:
        return iterate_zip(path, on_note=on_note, spec=spec)
    return iterate_tar(path, on_note=on_note, spec=spec)


def _describe_problem(path: str, error: OSError | ValueError | DataError) -> ImageItem:
    name = printable_name(path)
    if isinstance(error, DataError):
        return ImageItem(name, 0, None, " ".join(str(error).split()))
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return ImageItem(name, 0, None, f"cannot read {name}: {reason}")


def _files_of(source: str, *, has_images: bool) -> Iterator[str]:
    """Yield the files that a source names; those of a folder are its images, looked for only where that is asked."""
    for path in expand_glob(source) if is_glob(source) else (source,):
        if not os.path.isdir(path):  # noqa: PTH112 - text in, text out
            yield path
        elif has_images:
            yield from (name for name, problem in list_folder(path) if not problem and is_image_name(name))


def _is_same(path: str, output: Path) -> bool:
    try:
        return output.samefile(path)
    except (OSError, ValueError):
        return False


def _count_rows(path: str, spec: InputSpec) -> int | None:
    if path == STDIN or is_glob(path) or os.path.isdir(path):  # noqa: PTH112 - text, as in the listing
        return None
    try:
        kind = judge_file(path)
        if kind in {Kind.NPY, Kind.IDX}:
            from toolkit.prediction.sources.arrays import open_array_file

            return len(open_array_file(path, kind, spec=spec).images)
    except DataError:
        return 1  # what cannot be read is one row
    return 1 if kind == Kind.IMAGE else None


def _decode(paths: list[bytes], separator: bytes) -> Iterator[str]:
    for path in paths:
        plain = path.removesuffix(b"\r") if separator == b"\n" else path
        if plain:
            yield os.fsdecode(plain)
