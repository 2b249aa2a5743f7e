"""What `toolkit learning-curve` does: measure, save after every training, draw and show."""

from __future__ import annotations

__all__ = ["CurveRecorder", "measure_and_report"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.cli.output import Output, ProgressBar, draw_picture, tell_origin
from toolkit.counts import count_of
from toolkit.durable import write_json

if TYPE_CHECKING:
    from toolkit.data import Dataset
    from toolkit.tuning.curve_report import CurveReport
    from toolkit.tuning.learning_curve import CurveConfig


def measure_and_report(
    dataset: Dataset, config: CurveConfig, *, path: Path, before: dict[str, Any] | None, output: Output
) -> None:
    """Measure a learning curve, write its report and picture, and show it.

    Args:
        dataset: of which the training images are used.
        config: of the curve.
        path: where the report goes.
        before: a report that is gone on with; None begins one.
        output: where words go.
    """
    from toolkit.render.training import render_learning_curve
    from toolkit.tuning.learning_curve import measure_curve

    with output.progress("training", unit="steps") as bar:
        listener = CurveRecorder(output, bar, path=path)
        report = measure_curve(dataset, config, listener=listener, before=before)
    picture = listener.save(report)
    last = [f"report {path}", *([f"picture {picture}"] if picture else [])]
    output.report(report.to_json(), *render_learning_curve(report), *last)


class CurveRecorder:
    """Saves the report after every training, and says how it went.

    Args:
        output: where words go.
        bar: shows the steps of all trainings.
        path: where the report goes.
    """

    def __init__(self, output: Output, bar: ProgressBar, *, path: Path) -> None:
        self._output = output
        self.on_step = bar
        self._path = path

    def on_start(self, report: CurveReport, *, trainings: int) -> None:
        """Say how many trainings there are, where they are saved, and how to go on with them."""
        self._output.show(
            f"{len(report.trainings)} of {count_of(trainings, 'training')} done; each is saved in",
            str(self._path),
            f"if it is stopped, go on with the same command and --resume {self._path}",
        )

    def on_training(self, report: CurveReport, *, trainings: int) -> None:
        """Save, and show the training's line."""
        self.save(report)
        last = report.trainings[-1]
        self._output.show(
            f"training {len(report.trainings)}/{trainings}: {count_of(last.size, 'image')}, seed {last.seed}: "
            f"validation accuracy {100 * last.result.accuracy:.2f} %, {last.result.seconds:.1f} s"
        )

    def save(self, report: CurveReport) -> Path | None:
        """Write the report and its picture; return the picture's path, None where it cannot be drawn."""
        from toolkit.plots.training import draw_learning_curve

        write_json(self._path, tell_origin(report.to_json()))
        picture = self._path.with_suffix(".png")
        name, recipe = report.settings["data"]["name"], report.settings["recipe"]["name"]
        is_there = draw_picture(picture, lambda: draw_learning_curve(report, title=f"{name}, recipe {recipe}"))
        return picture if is_there else None
