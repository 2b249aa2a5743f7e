"""The kits that were written, as a table."""

from __future__ import annotations

__all__ = ["kits_table"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from toolkit.render_columns import make_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from toolkit.exporting.kits import KitResult

WORDS = ("kit", "folder", "self-check", "runtime")
FIGURES = ("MB", "vectors", "largest logit error", "ms a picture")
STYLES = {"pass": "green", "fail": "bold red", "not-run": "yellow"}


def kits_table(results: Sequence[KitResult]) -> RenderableType:
    """Return one row for each kit: where it is, how large, and what its self-check said."""
    header = (*WORDS, *FIGURES)
    return make_table(header, map(_cells, results), right=FIGURES, folded=WORDS, framed=True, title="kits")


def _cells(result: KitResult) -> tuple[str | Text, ...]:
    check = result.check
    return (
        result.kit,
        Text(str(result.folder)),
        Text(check.status, style=STYLES[check.status]),
        f"{check.runtime} {check.version or ''}".strip(),
        f"{result.size_bytes / 1e6:.2f}",
        str(check.vectors or ""),
        "" if check.max_abs_logit_error is None else f"{check.max_abs_logit_error:.2g}",
        "" if check.ms_per_image is None else f"{check.ms_per_image:.3g}",
    )
