"""What lies at a path, in words and a table of its classes, at the width of a narrow terminal."""

from __future__ import annotations

__all__ = ["describe_info"]

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from toolkit.counts import count_of
from toolkit.render.tables import RowTable, make_table

# Of a thousand classes nobody reads each line.
MOST_CLASSES = 40
PARTS = ("train", "test")


def describe_info(report: Mapping[str, Any], *, path: str) -> list[RenderableType]:
    """Return the lines and the table of a report of `toolkit data info`.

    Args:
        report: of `inspect_data`.
        path: as the user named it.
    """
    if "classes" not in report:
        pictures = _describe_pictures(report["pictures"]) if "pictures" in report else []
        return [f"{report['problem']}", *pictures, f"next: {report['next']}"]
    lines: list[RenderableType] = [f"{path} is taken for {report['taken_for']}"]
    lines += _describe_pictures(report["pictures"])
    lines.append(_class_table(report))
    if "sha256" in report:
        lines += _describe_training(report)
    if not report["trains"]:
        lines.append(f"a training refuses it as it is: {report['problem']}")
    return [*lines, f"next: {report['next']}"]


def _describe_pictures(seen: Mapping[str, Any]) -> list[str]:
    """Return how many pictures there are, of which formats, sizes and depth."""
    if not seen["count"]:
        return ["no picture could be read"]
    formats = ", ".join(f"{count:,} {name}" for name, count in seen["formats"].items()) or "arrays of numbers"
    depth = f"{seen['bits']}-bit {'grey' if seen['is_grey'] else 'colour'}"
    common = seen["most_common"]
    if seen["sizes"] == 1:
        sizes = f"all {_name_size(common['size'])}"
    else:
        sizes = (
            f"{seen['sizes']:,} sizes, {_name_size(seen['smallest'])} to {_name_size(seen['largest'])}, "
            f"most often {_name_size(common['size'])} ({common['count']:,})"
        )
    return [f"{count_of(seen['count'], 'picture')}: {formats}; {depth}", f"size (height x width): {sizes}"]


def _describe_training(report: Mapping[str, Any]) -> list[str]:
    shape, pixels = report["input"], report["train_pixels"]
    kind = "grey" if shape["channels"] == 1 else "RGB"
    train, test = report["train"]["count"], report["test"]["count"]
    lines = [
        f"a training takes {_name_size((shape['height'], shape['width']))} {kind}, {shape['polarity']}",
        f"it learns from {train - report['validation']:,}, validates on {report['validation']:,}, tests on {test:,}",
        f"training pixels {pixels['mean']:.4f} +- {pixels['std']:.4f}; sha256 {report['sha256'][:16]}...",
        f"licence {report['licence']}",
    ]
    if report["in_both"]:
        both = count_of(report["in_both"], "picture")
        lines.append(f"warning: test holds {both} of train too: the accuracy will flatter")
    return [*lines, *(f"warning: {gap}" for gap in report["gaps"])]


def _class_table(report: Mapping[str, Any]) -> RowTable:
    names = report["classes"]
    rows = [(name, *(f"{report[part]['per_class'][name]:,}" for part in PARTS)) for name in names[:MOST_CLASSES]]
    if len(names) > MOST_CLASSES:
        rest = [sum(report[part]["per_class"][name] for name in names[MOST_CLASSES:]) for part in PARTS]
        rows.append((f"{len(names) - MOST_CLASSES:,} more", *(f"{count:,}" for count in rest)))
    total = (count_of(len(names), "class", plural="classes"), *(f"{report[part]['count']:,}" for part in PARTS))
    return make_table(("class", *PARTS), [*rows, total], right=PARTS, title=report["name"])


def _name_size(size: Sequence[int]) -> str:
    return f"{size[0]}x{size[1]}"
