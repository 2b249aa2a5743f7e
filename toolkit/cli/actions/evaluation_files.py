"""The files that an evaluation leaves: a report and its pictures; one place for every command that evaluates."""

from __future__ import annotations

__all__ = ["summarise_mistakes", "write_evaluation"]

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.cli.output import draw_picture, tell_origin
from toolkit.durable import write_json
from toolkit.evaluation.evaluate import EvaluationResult
from toolkit.holding import hold
from toolkit.plain import to_plain

# How long another evaluation of the same run may take to write its files.
WRITING_S = 60.0


def write_evaluation(
    result: EvaluationResult,
    images_NHW: NDArray[np.uint8],
    classes: Sequence[str],
    *,
    path: Path,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the report, then the pictures beside it, and return the report; what cannot be drawn is not named in it.

    The pictures are called `confusion.png`, `first.png` and, where there are mistakes, `mistakes.png`; beside a report
    that is not `evaluation.json` of a run they begin with the report's stem.

    Args:
        result: the evaluation.
        images_NHW: uint8, the images it was made on.
        classes: class names.
        path: where the report goes.
        extra: further keys of the report.
    """
    from toolkit.evaluation.mistakes import find_mistakes, first_answers
    from toolkit.plots.evaluation import draw_confusion, draw_first, draw_mistakes

    report, mistakes, first = result.report, find_mistakes(result, classes), first_answers(result, classes)
    title = f"{report.dataset}: {report.correct:,} of {report.count:,} right"
    pictures: dict[str, Callable[[], bytes]] = {
        "confusion": lambda: draw_confusion(report.confusion, classes, title=title),
        "first": lambda: draw_first(images_NHW, first),
    }
    if mistakes:
        pictures["mistakes"] = lambda: draw_mistakes(images_NHW, mistakes, count=report.count)
    own = {**report.to_json(), **(extra or {}), "pictures": {}, "first": to_plain(first)}
    value = tell_origin({**own, "mistakes": to_plain(mistakes)})
    with hold(path, wait_s=WRITING_S):  # the pictures and the report of one evaluation belong together
        write_json(path, value)
        # Once more with those that could be drawn: the figures do not wait for the pictures.
        value["pictures"] = _draw(pictures, beside=path)
        write_json(path, value)
        if not mistakes:
            # A gallery of an earlier evaluation would contradict this one.
            _picture_path(path, "mistakes").unlink(missing_ok=True)
    return value


def summarise_mistakes(report: Mapping[str, Any]) -> str:
    """Return the line that says where the pictures are, and how many mistakes there were."""
    paths = [Path(path) for path in report["pictures"].values()]
    count = len(report["mistakes"])
    words = f"{count:,} mistakes, the worst first" if count else "no mistakes, so no gallery of them"
    where = f"pictures in {paths[0].parent}: {', '.join(path.name for path in paths)}" if paths else "no pictures"
    return f"{words}; {where}"


def _draw(pictures: Mapping[str, Callable[[], bytes]], *, beside: Path) -> dict[str, str]:
    """Write the pictures and return where those lie that could be drawn."""
    targets = {name: _picture_path(beside, name) for name in pictures}
    return {name: str(targets[name]) for name, draw in pictures.items() if draw_picture(targets[name], draw)}


def _picture_path(report: Path, name: str) -> Path:
    prefix = "" if report.stem == "evaluation" else f"{report.stem}-"
    return report.with_name(f"{prefix}{name}.png")
