"""`toolkit predict`: a bar while it runs, rows and pictures at the end."""

from __future__ import annotations

__all__ = ["predict_command"]

import sys
from typing import TYPE_CHECKING

from toolkit.artifacts import ArtifactStore
from toolkit.cli.actions.predict_request import PredictRequest, make_config
from toolkit.cli.context import announce_model
from toolkit.cli.options import command_of
from toolkit.cli.output import Output, draw_picture, note

if TYPE_CHECKING:
    from toolkit.prediction.config import PredictionConfig
    from toolkit.prediction.report import PredictionReport


def _carry_out(request: PredictRequest) -> None:
    from toolkit.outputs import claim_outputs
    from toolkit.prediction.run import run_prediction

    store = ArtifactStore.default()
    config = make_config(request, store)
    claim_outputs(config.gallery, force=config.force)
    out = Output(as_json=request.as_json or request.to_stdout)
    with out.progress("predicting", unit="images") as bar:
        stream = sys.stdout.buffer if request.to_stdout else None
        report = run_prediction(config, progress=bar if bar.is_shown else None, stream=stream)
    if request.model is None:
        announce_model(config.model, store=store)  # after the refusals, which are one line
    _show(report, config, out, to_stdout=request.to_stdout)
    report.raise_for_errors()


def _show(report: PredictionReport, config: PredictionConfig, out: Output, *, to_stdout: bool) -> None:
    from toolkit.render.predictions import prediction_summary, predictions_table

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
    from toolkit.plots.evaluation import draw_gallery

    if draw_picture(config.gallery, lambda: draw_gallery(report)):
        note(f"the {len(report.gallery)} least sure images are shown in {config.gallery}")


predict_command = command_of(PredictRequest, _carry_out)
