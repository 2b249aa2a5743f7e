"""After a training: the test images are judged, and what came out is written into the run."""

from __future__ import annotations

__all__ = ["judge_run"]

from typing import TYPE_CHECKING

from toolkit.cli.output import invocation
from toolkit.cli.training_listener import TrainingListener

if TYPE_CHECKING:
    from toolkit.data import Dataset
    from toolkit.evaluation.accuracy import AccuracyReport
    from toolkit.training.train import TrainReport


def judge_run(
    report: TrainReport, dataset: Dataset, *, listener: TrainingListener
) -> tuple[TrainReport, AccuracyReport] | None:
    """Judge a run on the test images and write `evaluation.json`; None in processes that only help another."""
    from toolkit.durable import write_json
    from toolkit.environment import describe_environment
    from toolkit.evaluation.evaluate import evaluate_run

    if not report.is_main:
        return None
    accuracy = evaluate_run(report.run, dataset)
    write_json(
        report.run / "evaluation.json",
        {**accuracy.to_json(), "command": invocation(), "environment": describe_environment()},
    )
    if listener.board is not None:
        listener.board.close()
    return report, accuracy
