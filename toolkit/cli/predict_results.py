"""A prediction carried out: a bar while it runs, rows and pictures at the end."""

from __future__ import annotations

__all__ = ["carry_out"]

import sys
from typing import TYPE_CHECKING

from toolkit.cli.context import announce_model
from toolkit.cli.output import Output, draw_picture, note

if TYPE_CHECKING:
    from toolkit.artifacts import ArtifactStore
    from toolkit.cli.predict_options import Request
    from toolkit.prediction.config import PredictionConfig
    from toolkit.prediction.report import PredictionReport


def carry_out(config: PredictionConfig, request: Request, *, store: ArtifactStore, is_latest: bool) -> None:
    """Predict, and print notes, first rows and summary, or the JSON report.

    Args:
        config: what to do.
        request: what was typed.
        store: where results lie.
        is_latest: whether nobody named the model, which is said then.

    Raises:
        ToolkitError: as `run_prediction`; DataError where a row has no answer.
    """
    from toolkit.outputs import claim_outputs
    from toolkit.prediction.run import run_prediction

    claim_outputs(config.gallery, force=config.force)
    out = Output(as_json=request.as_json or request.to_stdout)
    with out.progress("predicting", unit="images") as bar:
        stream = sys.stdout.buffer if request.to_stdout else None
        report = run_prediction(config, progress=bar if bar.is_shown else None, stream=stream)
    if is_latest:
        announce_model(config.model, store=store)  # after the refusals, which are one line
    _show(report, config, out, to_stdout=request.to_stdout)
    report.raise_for_errors()


def _show(report: PredictionReport, config: PredictionConfig, out: Output, *, to_stdout: bool) -> None:
    from toolkit.render_predictions import prediction_summary, predictions_table

    for sentence in report.notes:
        note(sentence)
    if config.gallery is not None:
        _draw_gallery(report, config)
    table = [predictions_table(report)] if report.preview else []
    if to_stdout:
        out.show(*prediction_summary(report))
    else:
        out.report(report.to_json(), *table, *prediction_summary(report))


def _draw_gallery(report: PredictionReport, config: PredictionConfig) -> None:
    assert config.gallery is not None
    if not report.gallery:
        note(f"no image has an answer, so there is no gallery at {config.gallery}")
        return
    from toolkit.plots_predictions import draw_gallery

    if draw_picture(config.gallery, lambda: draw_gallery(report)):
        note(f"the {len(report.gallery)} least sure images are shown in {config.gallery}")
