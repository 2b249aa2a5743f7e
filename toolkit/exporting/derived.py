"""Files of other precisions, made from the traced float32 graph: float16, and the best of three ways to int8.

The ways are ranked on the images that a training holds out; the test images are looked at once, by the gate.

Shapes: N images, K classes.
"""

from __future__ import annotations

__all__ = [
    "INT8_SETTINGS",
    "calibration_images",
    "derive_half",
    "derive_int8",
    "rank_tries",
    "try_settings",
]

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from toolkit.card import card_beside
from toolkit.counts import count_of
from toolkit.data.images import Split, split_images
from toolkit.errors import CheckFailedError, ModelError, WorkerError
from toolkit.exporters import ExportError, ExportSpec, Int8Setting, convert_to_half, finish_model, quantise_apart
from toolkit.exporting.int8_gate import LEAST_TEST_IMAGES, judge_int8
from toolkit.exporting.model_file import FileMaker, Proven, answer_pieces, read_card_beside
from toolkit.exporting.reference import split_training
from toolkit.exporting.report import ExportReport, Int8Report, Int8Try
from toolkit.onnx_file.source import ModelSource
from toolkit.progress import ShowProgress, tell_nobody
from toolkit.runtimes.base import Arrays, RuntimeSettings
from toolkit.runtimes.references.rounding import bound_from_errors
from toolkit.runtimes.workers.client import open_worker

FORMULA = (
    "empirical, because the rounding formula is void: twice the largest logit error on {images:,} {split} images in "
    "ONNX Runtime (docs/decisions/0010-int8.md)"
)
CALIBRATION_SEED = 0
INT8_SETTINGS: dict[str, Int8Setting] = {
    "minmax": Int8Setting(),
    "percentile 99.99": Int8Setting(percentile=99.99),
    "minmax, 7-bit weights": Int8Setting(reduce_range=True),
}


def derive_half(maker: FileMaker, proven: Proven, *, fp32: ExportReport) -> ExportReport:
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
    maker: FileMaker, proven: Proven, *, fp32: ExportReport, log: Path, progress: ShowProgress = tell_nobody
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
    calibration = calibration_images(training, maker.config.calibration_count)
    report = Int8Report(
        model={"path": str(fp32.model), "sha256": fp32.sha256},
        output=fp32.model.with_name(f"{fp32.model.stem}.int8.onnx"),
        calibration={"images": len(calibration), "seed": CALIBRATION_SEED},
        ranking={"images": len(held_out), "split": maker.run.probe_split},
    )
    count = len(maker.data.test)
    if count < LEAST_TEST_IMAGES:
        return _refuse(
            report,
            f"{count_of(count, 'test image')} cannot show that it loses little; {LEAST_TEST_IMAGES:,} are the least",
        )
    tries = try_settings(
        proven.graph, proven.source, held_out=held_out, calibration=calibration, log=log, progress=progress
    )
    return _look_once(maker, proven, fp32=fp32, report=replace(report, tries=tries))


def calibration_images(training: Split, count: int) -> NDArray[np.uint8]:
    """Return a seeded sample of training images `[N, ...]`, in their order; all where there are no more."""
    chosen = np.random.default_rng(CALIBRATION_SEED).permutation(len(training))[:count]
    return training.take(np.sort(chosen)).images


def try_settings(
    graph: onnx.ModelProto,
    fp32: ModelSource,
    *,
    held_out: Split,
    calibration: NDArray[np.uint8],
    log: Path,
    progress: ShowProgress = tell_nobody,
) -> tuple[Int8Try, ...]:
    """Try every setting and choose the best: no clock is asked, so that the same checkpoint gives the same bytes.

    Args:
        graph: traced, float32.
        fp32: the file made from it.
        held_out: the images that rank, none of those that calibrate.
        calibration: uint8 `[N, ...]`.
        log: what the quantiser prints is added to it.
        progress: called with the settings done and their number.

    Returns:
        One try for each setting, in the order of `INT8_SETTINGS`; none is `chosen` where all failed.
    """
    exact = _answer(fp32, held_out.images)
    tries = []
    for name in INT8_SETTINGS:
        tries.append(_try_setting(name, graph, calibration=calibration, held_out=held_out, exact=exact, log=log))
        progress(len(tries), len(INT8_SETTINGS))
    best = [item.name for item in rank_tries(tries)[:1]]
    return tuple(replace(item, status="chosen") if item.name in best else item for item in tries)


def rank_tries(tries: list[Int8Try]) -> list[Int8Try]:
    """Return what can be had, best first: fewest labels changed, then the smallest logit error, then as listed."""
    usable = [item for item in tries if item.graph is not None]
    return sorted(usable, key=lambda item: (item.labels_changed, item.rms_logit_error))


def _try_setting(
    name: str,
    graph: onnx.ModelProto,
    *,
    calibration: NDArray[np.uint8],
    held_out: Split,
    exact: Arrays,
    log: Path,
) -> Int8Try:
    """Quantise a graph in one way and let ONNX Runtime answer the images that rank, of which float32 says `exact`.

    A setting that cannot be had is a row of the table, not the end of it.
    """
    tried = Int8Try(name=name, setting=INT8_SETTINGS[name])
    try:
        quantised = quantise_apart(graph, calibration, setting=INT8_SETTINGS[name], log=log)
        model = finish_model(quantised, ExportSpec(), metadata={}, producer="int8").model
        seen = _answer(ModelSource.in_memory(model, Path(name)), held_out.images)
    except (ExportError, ModelError, WorkerError) as error:
        return replace(tried, status="failed", reason=str(error))
    errors = np.abs(seen["logits"] - exact["logits"])
    if not np.isfinite(errors).all():
        return replace(tried, status="failed", reason="a logit is not finite")
    return replace(
        tried,
        size_bytes=len(model),
        labels_changed=int((seen["label"] != exact["label"]).sum()),
        correct=int((seen["label"] == held_out.labels).sum()),
        rms_logit_error=float(np.sqrt(np.mean(errors.astype(np.float64) ** 2))),
        max_logit_error=float(errors.max()),
        graph=quantised,
    )


def _answer(source: ModelSource, images: NDArray[np.uint8]) -> Arrays:
    with open_worker(source, RuntimeSettings(), allow_foreign=False) as runtime:
        return answer_pieces(runtime, split_images(images))


def _look_once(
    maker: FileMaker, proven: Proven, *, fp32: ExportReport, report: Int8Report
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
        fp32=exact.labels,
        int8=seen.labels,
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
