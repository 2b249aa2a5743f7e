"""Files of other precisions, made from the traced float32 graph."""

from __future__ import annotations

__all__ = ["derive_half", "derive_int8"]

from dataclasses import replace
from pathlib import Path

import numpy as np

from exporters import ExportError, convert_to_half
from toolkit.card import card_beside
from toolkit.errors import CheckFailedError, ModelError
from toolkit.exporting.int8_gate import LEAST_COUNT, judge_int8
from toolkit.exporting.int8_tries import CALIBRATION_SEED, Int8Report, calibration_images, try_settings
from toolkit.exporting.model_file import FileMaker, Proven
from toolkit.exporting.naming import read_card_beside
from toolkit.exporting.reference import split_training
from toolkit.exporting.report import ExportReport
from toolkit.progress import ShowProgress
from toolkit.runtimes.references.rounding import bound_from_errors

FORMULA = (
    "empirical, because the rounding formula is void: twice the largest logit error on {images:,} {split} images in "
    "ONNX Runtime (docs/decisions/0010-int8.md)"
)


def derive_half(maker: FileMaker, proven: Proven, fp32: ExportReport) -> ExportReport:
    """Make the float16 file beside the float32 one.

    Raises:
        ModelError: a weight does not fit into float16.
    """
    try:
        half = convert_to_half(proven.graph)
    except ExportError as error:
        raise ModelError(f"{maker.name} has no float16 file: {error}") from error
    beside = fp32.model.with_name(f"{fp32.model.stem}.fp16.onnx")
    return maker.put(maker.prove(half, precision="fp16"), beside, derived_from_sha256=fp32.sha256)


def derive_int8(
    maker: FileMaker, proven: Proven, fp32: ExportReport, *, log: Path, progress: ShowProgress | None = None
) -> tuple[ExportReport | None, Int8Report]:
    """Make the int8 file beside the float32 one, if its gate holds.

    Args:
        maker: of the export.
        proven: the float32 graph and its labels.
        fp32: the file made from it.
        log: what the quantiser prints is added to it.
        progress: called with the settings done and their number.

    Returns:
        The file, or None where the gate does not hold; and the table of tries. A file that an earlier export of this
        float32 file had left is then removed.
    """
    training, held_out = split_training(maker.data)
    calibration = calibration_images(training.images, maker.config.calibration_count)
    report = Int8Report(
        model={"path": str(fp32.model), "sha256": fp32.sha256},
        output=fp32.model.with_name(f"{fp32.model.stem}.int8.onnx"),
        calibration={"images": len(calibration), "seed": CALIBRATION_SEED},
        ranking={"images": len(held_out), "split": maker.run.probe_split},
    )
    count = len(maker.data.test)
    if count < LEAST_COUNT:
        return _refuse(report, f"{count:,} test images cannot show that it loses little; {LEAST_COUNT:,} are the least")
    tries = try_settings(proven.graph, proven.source, held_out, calibration=calibration, log=log, progress=progress)
    return _look_once(maker, proven, fp32, replace(report, tries=tries))


def _look_once(
    maker: FileMaker, proven: Proven, fp32: ExportReport, report: Int8Report
) -> tuple[ExportReport | None, Int8Report]:
    """Judge the chosen try on the test images and put it in place where the gate holds."""
    chosen = report.chosen
    if chosen is None or chosen.graph is None or chosen.max_logit_error is None:
        return _refuse(report, f"no setting gives a file: {report.tries[0].reason}")
    bound = bound_from_errors(np.array(chosen.max_logit_error + proven.probe.bound))
    try:
        candidate = maker.prove(chosen.graph, precision="int8", bound=bound)
    except CheckFailedError as error:
        return _refuse(report, str(error))
    exact, seen = proven.proof, candidate.proof
    gate = judge_int8(
        maker.data.test.labels,
        exact.labels,
        seen.labels,
        max_logit_error=float(np.abs(exact.logits - seen.logits).max()),
        bound=bound,
    )
    report = replace(report, gate=gate)
    if gate.failures:
        return _refuse(report, *gate.failures)
    calibrated = {f"calibration_{key}": value for key, value in report.calibration.items()}
    file = maker.put(
        candidate,
        report.output,
        derived_from_sha256=fp32.sha256,
        bound={"logits": bound, "formula": FORMULA.format(**report.ranking)},
        recipe={**fp32.card.recipe, "int8": {"setting": chosen.name, **calibrated}},
    )
    return file, report


def _refuse(report: Int8Report, *failures: str) -> tuple[None, Int8Report]:
    """Leave no file: one of this very float32 file, from an earlier export, goes with its card."""
    card = read_card_beside(report.output)
    if card is not None and card.derived_from_sha256 == report.model["sha256"]:
        report.output.unlink(missing_ok=True)
        card_beside(report.output).unlink(missing_ok=True)
    return None, replace(report, failures=failures)
