"""Parquet files with a column of encoded images, row after row."""

from __future__ import annotations

__all__ = ["iterate_parquet"]

from collections.abc import Iterator
from typing import Any

from toolkit.containers.parquet import check_cell, choose_image_column, iterate_cells, open_parquet
from toolkit.errors import DataError
from toolkit.prediction.sources.items import ImageItem
from toolkit.regular_file import open_regular, printable_name


def iterate_parquet(path: str) -> Iterator[ImageItem]:
    """Yield the images of a Parquet file; the index is the row's number, a cell without bytes has no content.

    Args:
        path: a regular file.

    Raises:
        DataError: the file cannot be read, or no column of images can be told; also in the middle of it.
        ResourceError: pyarrow is not installed.
    """
    source = printable_name(path)
    with open_regular(path) as stream:
        file = open_parquet(stream, name=source)
        column = choose_image_column(file.schema_arrow, source)
        for index, value in enumerate(iterate_cells(file, column, name=source)):
            yield _to_item(value, source, index=index)


def _to_item(value: Any, source: str, *, index: int) -> ImageItem:  # Any: whatever the cell holds
    try:
        return ImageItem(source, index, check_cell(value, title=f"row {index + 1} of {source}"))
    except DataError as error:
        return ImageItem(source, index, None, str(error))
