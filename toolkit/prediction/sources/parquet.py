"""Parquet files with a column of encoded images, as Hugging Face keeps them: row after row, in small batches."""

from __future__ import annotations

__all__ = ["iterate_parquet"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from toolkit.data.formats.arrays import failures_named
from toolkit.errors import DataError
from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.prediction.sources.items import ImageItem
from toolkit.programs import import_extra
from toolkit.regular_file import open_regular, printable_name

# A cell can be as large as an image may be, and a dictionary repeats it for nothing: few rows at a time.
BATCH_ROWS = 32
BUFFER_BYTES = 1 << 20
COLUMN_NAMES = ("image", "img")
BYTES_FIELD = "bytes"
MAX_NAMES = 20


def iterate_parquet(path: str) -> Iterator[ImageItem]:
    """Yield the images of a Parquet file; the index is the row's number, a cell without bytes has no content.

    The column is the one of binary values, or of Hugging Face's `struct<bytes, path>`; where several are, the one that
    is called `image` or `img`. A path in such a cell is not followed.

    Args:
        path: a regular file.

    Raises:
        DataError: the file cannot be read, or no such column can be told; also in the middle of it.
        ResourceError: pyarrow is not installed.
    """
    source = printable_name(path)
    with _open_parquet(path) as file, failures_named(source, kind="Parquet"):
        column = _choose_column(file.schema_arrow, source)
        index = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=[column], use_threads=False):
            cells = batch.column(0)
            # Flattened, a field is null where its struct is.
            values = cells.flatten()[0] if column.endswith(f".{BYTES_FIELD}") and hasattr(cells, "flatten") else cells
            for value in values:
                yield _to_item(value.as_py(), source, index=index)
                index += 1


def _to_item(value: Any, source: str, *, index: int) -> ImageItem:  # Any: whatever the cell holds
    if not isinstance(value, bytes):
        return ImageItem(source, index, None, f"row {index} of {source} has no bytes; expected an encoded image")
    if len(value) > MAX_FILE_BYTES:
        seen = f"row {index} of {source} has {len(value)} bytes"
        return ImageItem(source, index, None, f"{seen}; the most for an image is {MAX_FILE_BYTES}")
    return ImageItem(source, index, value)


@contextmanager
def _open_parquet(path: str) -> Iterator[Any]:  # Any: pyarrow is optional and untyped here
    parquet = import_extra("pyarrow.parquet", extra="parquet", user=f"the Parquet file {printable_name(path)}")
    with open_regular(path) as stream:
        with failures_named(printable_name(path), kind="Parquet"):
            file = parquet.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False)
        yield file


def _choose_column(schema: Any, source: str) -> str:  # Any: pyarrow is untyped here
    """Return the path of the leaf that holds the images."""
    leaves = {field.name: leaf for field in schema if (leaf := _find_leaf(field)) is not None}
    if len(leaves) == 1:
        return next(iter(leaves.values()))
    for name in COLUMN_NAMES:
        if name in leaves:
            return leaves[name]
    names = [printable_name(name) for name in (leaves or schema.names)][:MAX_NAMES]
    seen = f"{len(leaves)} columns of binary values" if leaves else "no column of binary values"
    raise DataError(f"{source} has {seen} ({', '.join(names)}); expected one, or one that is called image")


def _find_leaf(field: Any) -> str | None:  # Any: pyarrow is untyped here
    import pyarrow as pa

    if _is_binary(field.type):
        return str(field.name)
    if pa.types.is_struct(field.type):
        place = field.type.get_field_index(BYTES_FIELD)
        if place >= 0 and _is_binary(field.type.field(place).type):
            return f"{field.name}.{BYTES_FIELD}"
    return None


def _is_binary(kind: Any) -> bool:  # Any: pyarrow is untyped here
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
