"""An export in words: the tries of an int8 file as a table, its gate, the comparison of two exporters."""

from __future__ import annotations

__all__ = ["cross_check_words", "int8_table"]

from rich.table import Table

from toolkit.exporting.cross_check import CrossCheck
from toolkit.exporting.int8_tries import Int8Report, Int8Try
from toolkit.render_columns import make_table


def cross_check_words(check: CrossCheck) -> str:
    """Return what was compared and the largest difference, as one line."""
    sizes = ", ".join(map(str, check.batch_sizes))
    errors = " and ".join(f"{error:.2g}" for error in check.max_abs_logit_errors)
    differing = check.labels_differing
    labels = f"{differing} labels differ, which rounding explains" if differing else "equal labels"
    return (
        f"cross-check with {check.exporters[1]} passed on {check.images:,} {check.split} images, batch {sizes} "
        f"and more: largest difference {check.max_abs_difference:.2g}, errors {errors}, bound {check.bound:.2g}, "
        f"{labels}"
    )


def int8_table(report: Int8Report) -> list[Table | str]:
    """Return one row for each setting, then a line about the test images."""
    calibration = f"calibrated on {report.calibration['images']:,} training images"
    ranked = f"ranked on {report.ranking['images']:,} {report.ranking['split']} images"
    title = f"int8, {calibration}, {ranked}; logit errors against float32's"
    figures = ("MB", "changed", "right", "rms", "max")
    header, rows = ("", "setting", *figures, "reason"), map(_cells, report.tries)
    table = make_table(header, rows, right=figures, folded={"reason"}, title=title, title_justify="left")
    parts: list[Table | str] = [table] if report.tries else []
    return [*parts, _gate_words(report)]


def _cells(item: Int8Try) -> tuple[str, ...]:
    if item.size_bytes is None:
        return (item.status, item.name, "", "", "", "", "", item.reason or "")
    return (
        "" if item.status == "tried" else item.status,
        item.name,
        f"{item.size_bytes / 1e6:.2f}",
        str(item.labels_changed),
        f"{item.correct:,}",
        f"{item.rms_logit_error:.2g}",
        f"{item.max_logit_error:.2g}",
        item.reason or "",
    )


def _gate_words(report: Int8Report) -> str:
    if report.gate is None:
        return "the test images were not looked at"
    gate, pairs = report.gate, report.gate.pairs
    loss, (low, high) = pairs.difference, pairs.interval
    verdict = "holds" if report.passed else "does not hold"
    return (
        f"gate {verdict} on {pairs.count:,} test images: {100 * loss:.3f} points lost "
        f"(95 % interval {100 * low:.3f} to {100 * high:.3f}), labels agree on {100 * gate.agreement:.2f} %, "
        f"logits differ by {gate.max_logit_error:.2g} at most, bound {gate.bound:.2g}"
    )
