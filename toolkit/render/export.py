"""An export in words: the tries of an int8 file and the kits as tables, its gate, the comparison of two exporters."""

from __future__ import annotations

__all__ = ["cross_check_words", "describe_export", "describe_golden", "int8_table", "kits_table"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from toolkit.counts import count_of
from toolkit.render.tables import RowTable, make_table

if TYPE_CHECKING:
    from toolkit.card import Card
    from toolkit.exporting.kits.kits import KitResult
    from toolkit.exporting.report import CrossCheck, ExportReport, Int8Report, Int8Try

FIGURES = ("MB", "logit error", "ms a picture")
STYLES = {"pass": "green", "fail": "bold red", "not-run": "yellow"}


def describe_export(report: ExportReport, *, asked: str | None) -> list[str]:
    """Return four lines for each file that was written, and one for the comparison of two exporters.

    Args:
        report: of the export.
        asked: the golden vectors that were asked for; None where nothing was said.
    """
    lines = [line for item in (report, *report.derived) for line in _describe_file(item, asked=asked)]
    return lines + ([] if report.cross_check is None else [cross_check_words(report.cross_check)])


def describe_golden(card: Card, *, asked: str | None) -> str:
    """Return how many golden vectors a card has, or why none; `asked` as in `describe_export`."""
    if card.golden is not None:
        return f"golden vectors: {count_of(card.golden.shape[0], f'{card.golden.split or card.golden.origin} image')}"
    reason = "as asked" if asked == "none" else f"one image of {card.input.height}x{card.input.width} is over the cap"
    return f"golden vectors: none, {reason}; toolkit selftest has nothing to replay"


def cross_check_words(check: CrossCheck) -> str:
    """Return what was compared and the largest difference, as one line."""
    sizes = ", ".join(map(str, check.batch_sizes))
    errors = " and ".join(f"{error:.2g}" for error in check.max_abs_logit_errors)
    differing = check.labels_differing
    labels = f"{count_of(differing, 'label')} changed, which rounding explains" if differing else "equal labels"
    return (
        f"cross-check with {check.exporters[1]} passed on {count_of(check.images, f'{check.split} image')}, batch "
        f"{sizes} "
        f"and more: largest difference {check.max_abs_difference:.2g}, errors {errors}, bound {check.bound:.2g}, "
        f"{labels}"
    )


def int8_table(report: Int8Report) -> list[RowTable | str]:
    """Return one row for each setting, then a line about the test images."""
    calibration = f"calibrated on {count_of(report.calibration['images'], 'training image')}"
    ranked = f"ranked on {count_of(report.ranking['images'], report.ranking['split'] + ' image')}"
    title = f"int8, {calibration}, {ranked}; logit errors against float32's"
    figures = ("MB", "changed", "right", "rms", "max")
    header, rows = ("", "setting", *figures, "reason"), map(_cells, report.tries)
    table = make_table(header, rows, right=figures, folded={"reason"}, title=title)
    parts: list[RowTable | str] = [table] if report.tries else []
    return [*parts, _gate_words(report)]


def kits_table(results: Sequence[KitResult]) -> RenderableType:
    """Return one row for each kit: how large it is and what its self-check said; where they all lie stands above."""
    folders = [str(result.folder).removesuffix(result.kit) for result in results]
    title = Text(f"kits: {folders[0]}<kit>" if folders else "no kits", no_wrap=True, overflow="ignore")
    return Group(title, make_table(("kit", "self-check", "runtime", *FIGURES), map(_kit_cells, results), right=FIGURES))


def _describe_file(report: ExportReport, *, asked: str | None) -> tuple[str, ...]:
    state = "unchanged" if report.unchanged else "written"
    written = (
        f"{report.card.precision}, opset 18, {count_of(len(report.operators), 'node')}, sha256 {report.sha256[:16]}..."
    )
    proven = f"largest logit error {report.max_abs_logit_error:.2g}, bound {report.card.bound['logits']:.2g}"
    return (
        f"{report.model} {state}: {report.size_bytes / 1e6:.2f} MB, {written}",
        f"proven by {report.engine} at batch 1, 2, 3, 17, 64: {proven}",
        f"test accuracy of this file {report.accuracy.describe()}",
        describe_golden(report.card, asked=asked),
    )


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
        f"gate {verdict} on {count_of(pairs.count, 'test image')}: {100 * loss:.3f} points lost "
        f"(95 % interval {100 * low:.3f} to {100 * high:.3f}), labels agree on {100 * gate.agreement:.2f} %, "
        f"logits differ by {gate.max_logit_error:.2g} at most, bound {gate.bound:.2g}"
    )


def _kit_cells(result: KitResult) -> tuple[str | Text, ...]:
    check = result.check
    return (
        result.kit,
        Text(check.status, style=STYLES[check.status]),
        # Without what OpenVINO says behind its version of where its sources lay.
        f"{check.runtime} {(check.version or '').partition('-')[0]}".strip(),
        f"{result.size_bytes / 1e6:.2f}",
        "" if check.max_abs_logit_error is None else f"{check.max_abs_logit_error:.2g}",
        "" if check.ms_per_image is None else f"{check.ms_per_image:.3g}",
    )
