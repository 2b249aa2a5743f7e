"""Parquet files with a column of encoded images, as Hugging Face keeps them: read in small batches."""

from __future__ import annotations

__all__ = ["check_cell", "choose_image_column", "iterate_cells", "open_parquet"]

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from toolkit.errors import DataError, failures_named
from toolkit.imaging.settings import MAX_FILE_BYTES
from toolkit.programs import import_extra
from toolkit.regular_file import printable_name

# A cell can be as large as an image may be, and a dictionary repeats it for nothing: few rows at a time.
BATCH_ROWS = 32
BUFFER_BYTES = 1 << 20
COLUMN_NAMES = ("image", "img")
BYTES_FIELD = "bytes"
MAX_NAMES = 20


def open_parquet(stream: BinaryIO, *, name: str) -> Any:  # Any: pyarrow is optional and untyped here
    """Return an open Parquet file.

    Args:
        stream: seekable; stays the caller's.
        name: what it is called in messages.

    Raises:
        DataError: it is damaged, or none.
        ResourceError: pyarrow is not installed.
    """
    parquet = import_extra("pyarrow.parquet", extra="parquet", user=f"the Parquet file {name}")
    with failures_named(name, kind="Parquet"):
        return parquet.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False)


def choose_image_column(schema: Any, name: str) -> str:  # Any: pyarrow is untyped here
    """Return the path of the leaf that holds the images: the one of binary values, or called `image` or `img`.

    Hugging Face's `struct<bytes, path>` counts by its bytes; a path in it is not followed.

    Raises:
        DataError: no such column can be told.
    """
    leaves = {field.name: leaf for field in schema if (leaf := _find_leaf(field)) is not None}
    if len(leaves) == 1:
        return next(iter(leaves.values()))
    for each in COLUMN_NAMES:
        if each in leaves:
            return leaves[each]
    names = [printable_name(each) for each in (leaves or schema.names)][:MAX_NAMES]
    seen = f"{len(leaves)} columns of binary values" if leaves else "no column of binary values"
    raise DataError(f"{name} has {seen} ({', '.join(names)}); expected one, or one that is called image")


def iterate_cells(
    file: Any,  # Any: pyarrow is untyped here
    column: str,
    *,
    name: str,
    batch_rows: int = BATCH_ROWS,
    row_groups: Sequence[int] | None = None,
) -> Iterator[Any]:
    """Yield a column's values, row after row.

    Args:
        file: of `open_parquet`.
        column: of `choose_image_column`, or a column's name.
        name: what the file is called in messages.
        batch_rows: how many are held at a time.
        row_groups: numbers of those to read; all by default.

    Raises:
        DataError: the file cannot be read, also in the middle of it.
    """
    with failures_named(name, kind="Parquet"):
        batches = file.iter_batches(batch_size=batch_rows, columns=[column], use_threads=False, row_groups=row_groups)
        for batch in batches:
            cells = batch.column(0)
            # Flattened, a field is null where its struct is.
            values = cells.flatten()[0] if column.endswith(f".{BYTES_FIELD}") and hasattr(cells, "flatten") else cells
            yield from (value.as_py() for value in values)


def check_cell(cell: Any, *, title: str) -> bytes:  # Any: whatever the cell holds
    """Return the encoded image that a cell holds.

    Raises:
        DataError: it holds none, or too large a one.
    """
    if not isinstance(cell, bytes):
        raise DataError(f"{title} has no bytes; expected an encoded image")
    if len(cell) > MAX_FILE_BYTES:
        raise DataError(f"{title} has {len(cell)} bytes; the most for an image is {MAX_FILE_BYTES}")
    return cell


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
