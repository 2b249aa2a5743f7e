"""Pictures in a column of a Parquet file."""

from __future__ import annotations

__all__ = ["count_parquet", "iterate_parquet"]

from importlib import import_module
from typing import TYPE_CHECKING, Any

from toolkit.errors import DataError, ResourceError
from toolkit.prediction.items import ImageItem, failed_item
from toolkit.prediction.names import printable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from toolkit.prediction.items import Item

INSTALL = "pip install 'onnx-parity-toolkit[parquet]'"
# Photographs have megabytes: few of them are held at a time.
ROWS_AT_ONCE = 64
PREFERRED = "image"
# Hugging Face's datasets keep an image as a struct of these.
STRUCT_BYTES = "bytes"


def iterate_parquet(path: Path) -> Iterator[Item]:
    """Yield the encoded pictures of a Parquet file, row by row, as they are read.

    The column is the only one of binary values (or of Hugging Face's struct with `bytes`), or the one called `image`.

    Raises:
        DataError: not Parquet, damaged, or without such a column.
        ResourceError: pyarrow is not installed.
    """
    source, index = printable_path(path), 0
    with _open(path) as table:
        column = _find_column(table.schema_arrow, source)
        batches = table.iter_batches(batch_size=ROWS_AT_ONCE, columns=[column], use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except Exception as error:  # pyarrow's errors share no base with others
                raise DataError(f"{source} is damaged from row {index} on: {' '.join(str(error).split())}") from error
            if batch is None:
                return
            for value in batch.column(0).to_pylist():
                data = value.get(STRUCT_BYTES) if isinstance(value, dict) else value
                if isinstance(data, bytes):
                    yield ImageItem(source, index, data)
                else:
                    yield failed_item(source, f"{source}, row {index} holds no bytes of an image", index=index)
                index += 1


def count_parquet(path: Path) -> int:
    """Return the number of rows.

    Raises:
        DataError: not Parquet.
        ResourceError: pyarrow is not installed.
    """
    with _open(path) as table:
        return int(table.metadata.num_rows)


def _open(path: Path) -> Any:
    try:
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ResourceError(f"Parquet needs pyarrow ({error}); get it with: {INSTALL}") from error
    try:
        return parquet.ParquetFile(path)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{printable_path(path)} cannot be read as Parquet: {reason}") from error


def _find_column(schema: Any, source: str) -> str:
    types: Any = import_module("pyarrow.types")

    def has_bytes(kind: Any) -> bool:
        if types.is_struct(kind):
            return any(part.name == STRUCT_BYTES and has_bytes(part.type) for part in kind)
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    fitting = [field.name for field in schema if has_bytes(field.type)]
    if PREFERRED in fitting:
        return PREFERRED
    if len(fitting) == 1:
        return str(fitting[0])
    seen = ", ".join(f"{field.name} ({field.type})" for field in schema)[:300]
    raise DataError(f"{source} has the columns {seen}; expected one of encoded images, called {PREFERRED!r} if several")
