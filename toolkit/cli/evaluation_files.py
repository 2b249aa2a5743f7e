"""The files that an evaluation leaves: a report and its pictures; one place for every command that evaluates."""

from __future__ import annotations

__all__ = ["summarise_mistakes", "write_corruptions", "write_evaluation"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli.output import invocation
from toolkit.durable import write_atomic, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from toolkit.evaluation.evaluate import EvaluationResult
    from toolkit.evaluation.judge_corruptions import CorruptionsReport

# Examples of each family in the picture.
EXAMPLES = 10


def write_evaluation(
    result: EvaluationResult,
    images_NHW: NDArray[np.uint8],
    classes: Sequence[str],
    *,
    path: Path,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the report and the pictures beside it, and return the report.

    The pictures are called `confusion.png`, `first.png` and, where there are mistakes, `mistakes.png`; beside a report
    that is not `evaluation.json` of a run they begin with the report's stem.

    Args:
        result: the evaluation.
        images_NHW: uint8, the images it was made on.
        classes: class names.
        path: where the report goes.
        extra: further keys of the report.
    """
    from toolkit.environment import describe_environment
    from toolkit.evaluation.mistakes import find_mistakes, first_answers
    from toolkit.plots_evaluation import draw_confusion, draw_first, draw_mistakes

    report, mistakes, first = result.report, find_mistakes(result, classes), first_answers(result, classes)
    title = f"{report.dataset}: {report.correct:,} of {report.count:,} right"
    drawn = {
        "confusion": draw_confusion(report.confusion, classes, title=title),
        "first": draw_first(images_NHW, first),
    }
    if mistakes:
        drawn["mistakes"] = draw_mistakes(images_NHW, mistakes, count=report.count)
    else:
        # A gallery of an earlier evaluation would contradict this one.
        _picture_path(path, "mistakes").unlink(missing_ok=True)
    for name, picture in drawn.items():
        write_atomic(_picture_path(path, name), picture)
    value = {
        **report.to_json(),
        **(extra or {}),
        "pictures": {name: str(_picture_path(path, name)) for name in drawn},
        "first": [answer.to_json() for answer in first],
        "mistakes": [answer.to_json() for answer in mistakes],
        "command": invocation(),
        "environment": describe_environment(),
    }
    write_json(path, value)
    return value


def write_corruptions(
    report: CorruptionsReport, images_NHW: NDArray[np.uint8], *, path: Path, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the report, and beside it one picture with examples of every family; return the report.

    Args:
        report: the rows.
        images_NHW: uint8, the clean images.
        path: where the report goes, a `.json`; the picture takes its name with `.png`.
        extra: further keys of the report.
    """
    from toolkit.environment import describe_environment
    from toolkit.evaluation.corruptions import FAMILIES, corrupt_images
    from toolkit.plots_evaluation import draw_corruptions

    # What an image gets depends on its place alone, so these are the very images that were judged.
    first = images_NHW[:EXAMPLES]
    rows = {"clean": first, **{name: corrupt_images(first, name, seed=report.seed) for name in FAMILIES}}
    picture = path.with_suffix(".png")
    write_atomic(picture, draw_corruptions(rows, title=f"{report.dataset}, corrupted with seed {report.seed}"))
    value = {
        **report.to_json(),
        **extra,
        "pictures": {"corruptions": str(picture)},
        "command": invocation(),
        "environment": describe_environment(),
    }
    write_json(path, value)
    return value


def summarise_mistakes(report: Mapping[str, Any]) -> str:
    """Return the line that says where the pictures are, and how many mistakes there were."""
    paths = [Path(path) for path in report["pictures"].values()]
    count = len(report["mistakes"])
    words = f"{count:,} mistakes, the worst first" if count else "no mistakes, so no gallery of them"
    return f"{words}; pictures in {paths[0].parent}: {', '.join(path.name for path in paths)}"


def _picture_path(report: Path, name: str) -> Path:
    prefix = "" if report.stem == "evaluation" else f"{report.stem}-"
    return report.with_name(f"{prefix}{name}.png")
