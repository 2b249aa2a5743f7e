"""The kits that were written, as a table."""

from __future__ import annotations

__all__ = ["kits_table"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from toolkit.exporting.kits import KitResult

STYLES = {"pass": "green", "fail": "bold red", "not-run": "yellow"}


def kits_table(results: Sequence[KitResult]) -> RenderableType:
    """Return one row for each kit: where it is, how large, and what its self-check said."""
    table = Table(title="kits")
    for name in ("kit", "folder", "self-check", "runtime"):
        table.add_column(name, overflow="fold")
    for name in ("MB", "vectors", "largest logit error", "ms a picture"):
        table.add_column(name, justify="right")
    for result in results:
        check = result.check
        error = "" if check.max_abs_logit_error is None else f"{check.max_abs_logit_error:.2g}"
        time = "" if check.ms_per_image is None else f"{check.ms_per_image:.3g}"
        table.add_row(
            result.kit,
            Text(str(result.folder)),
            Text(check.status, style=STYLES[check.status]),
            f"{check.runtime} {check.version or ''}".strip(),
            f"{result.size_bytes / 1e6:.2f}",
            str(check.vectors or ""),
            error,
            time,
        )
    return table
