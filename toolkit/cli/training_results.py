"""After a training: the test images are judged, and what came out is written into the run."""

from __future__ import annotations

__all__ = ["judge_run"]

from typing import TYPE_CHECKING

from toolkit.cli.output import warn
from toolkit.cli.training_listener import TrainingListener

if TYPE_CHECKING:
    from toolkit.data import Dataset
    from toolkit.evaluation.accuracy import AccuracyReport
    from toolkit.training.train import TrainReport


def judge_run(
    report: TrainReport, dataset: Dataset, *, listener: TrainingListener
) -> tuple[TrainReport, AccuracyReport, list[str]] | None:
    """Judge a run on the test images, write its report and pictures, and warn where chance would do as well.

    Returns:
        What was trained, its accuracy, and all that was warned of; None in processes that only help another.
    """
    from toolkit.cli.evaluation_files import write_evaluation
    from toolkit.evaluation.evaluate import evaluate_run
    from toolkit.evaluation.mistakes import find_mistakes

    if not report.is_main:
        return None
    result = evaluate_run(report.run, dataset)
    write_evaluation(result, dataset.test.images, dataset.classes, path=report.run / "evaluation.json")
    if listener.board is not None:
        mistakes = find_mistakes(result, dataset.classes)
        images = dataset.test.images[[item.index for item in mistakes]]
        captions = [f"{item.predicted} (was {item.label})" for item in mistakes]
        listener.board.add_mistakes(images, captions, epoch=len(report.rows))
        listener.board.close()
    doubts = result.report.describe_chance(dataset.classes)
    warn(doubts)
    return report, result.report, [*dataset.describe_gaps(), *doubts]
