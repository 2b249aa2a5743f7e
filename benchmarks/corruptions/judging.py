"""One or two opened models judged on clean, corrupted and foreign images."""

from __future__ import annotations

__all__ = ["CorruptionRow", "CorruptionsReport", "adjust_holm", "judge_corruptions"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from corruptions.families import FAMILIES, FOREIGN, corrupt_images
from corruptions.uci_digits import DIGITS, UCI_DIGITS, explain_unfit, load_uci_digits
from toolkit.data.dataset import Split
from toolkit.data.labels import match_classes
from toolkit.errors import DataError, ResourceError
from toolkit.evaluation.accuracy import AccuracyReport, PairedReport, compare_paired, judge_difference
from toolkit.evaluation.candidate import Candidate
from toolkit.evaluation.evaluate import EvaluationResult, evaluate

CLEAN = "clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionRow:
    """One set of images.

    Attributes:
        family: `clean`, a name in `FAMILIES`, or `uci-digits`.
        severity: the family's parameters; empty where nothing is corrupted.
        report: the figures, None where the row was skipped.
        against: the other model's figures, None without one.
        paired: both compared image by image, None without another model.
        p_holm: the p-value adjusted for the other families; None where the row stands alone.
        reason: why the row was skipped.
    """

    family: str
    severity: Mapping[str, float]
    report: AccuracyReport | None = None
    against: AccuracyReport | None = None
    paired: PairedReport | None = None
    p_holm: float | None = None
    reason: str | None = None

    @property
    def verdict(self) -> str | None:
        """`better`, `worse` or `undecided`, of all tests that are counted together; None without another model."""
        if self.paired is None:
            return None
        p_value = self.paired.p_value if self.p_holm is None else self.p_holm
        return judge_difference(self.paired.difference, p_value)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `p_value` and the other comparing keys are null without another model."""
        figures = dict.fromkeys(("count", "correct", "accuracy", "accuracy_ci95"))
        compared = dict.fromkeys(("only_this", "only_against", "difference", "p_value"))
        return {
            "family": self.family,
            "severity": dict(self.severity),
            "status": "skip" if self.report is None else "measured",
            "reason": self.reason,
            **(figures if self.report is None else self.report.figures()),
            "against": None if self.against is None else self.against.figures(),
            **(compared if self.paired is None else self.paired.to_json()),
            "p_holm": self.p_holm,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionsReport:
    """Every row.

    Attributes:
        dataset: name of the data set whose test images were corrupted.
        seed: of the corruptions.
        rows: clean images first, then the families, then foreign digits.
    """

    dataset: str
    seed: int
    rows: tuple[CorruptionRow, ...]

    @property
    def corrupted(self) -> tuple[CorruptionRow, ...]:
        """The rows of the families alone."""
        return tuple(row for row in self.rows if row.family in FAMILIES)

    def count_verdicts(self, verdict: str) -> int:
        """Return in how many families the comparison says `better`, `worse` or `undecided`."""
        return sum(row.verdict == verdict for row in self.corrupted)

    def summarise(self) -> dict[str, Any]:
        """Return the means over the families that nothing trains on and, with another model, each verdict's count."""
        foreign = [row for row in self.corrupted if row.family in FOREIGN]
        rivals = [row.against.accuracy for row in foreign if row.against is not None]
        verdicts = {name: self.count_verdicts(name) for name in ("better", "worse", "undecided")}
        return {
            "families": len(self.corrupted),
            "families_in_mean": len(foreign),
            "mean_accuracy": _mean([row.report.accuracy for row in foreign if row.report is not None]),
            "mean_accuracy_against": _mean(rivals) if rivals else None,
            **(verdicts if rivals else dict.fromkeys(verdicts)),
        }

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/corruptions/2`."""
        return {
            "schema": "toolkit/corruptions/2",
            "dataset": self.dataset,
            "seed": self.seed,
            "summary": self.summarise(),
            "rows": [row.to_json() for row in self.rows],
        }


def judge_corruptions(
    candidate: Candidate,
    images: Split,
    *,
    dataset: str,
    rival: Candidate | None = None,
    seed: int = 0,
) -> CorruptionsReport:
    """Judge on the clean test images, on each family of corruptions of them, and on UCI's digits.

    Both models see the same images, and are judged by the classes' names. The families' tests are adjusted as one
    (Holm); the clean images and the foreign digits are questions of their own.

    Args:
        candidate: the opened model.
        images: clean ones, as `suit_images` made them for the judge.
        dataset: name for the report.
        rival: another opened model, of the same input.
        seed: of the corruptions.

    Raises:
        DataError: the images do not fit the rival, or it does not know their classes.
        ModelError: an answer is not finite or names no class.
    """
    other = None if rival is None else _Rival(rival, candidate, images)
    rows = list(_judge_rows(candidate, other, images, seed=seed))
    return CorruptionsReport(dataset=dataset, seed=seed, rows=_adjust(rows))


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of tests that are counted together, adjusted (Holm 1979, Scand. J. Stat. 6:65).

    Where none of the differences is real, not one of all is called so with a probability of 95 %, however they hang
    together: the smallest p-value is multiplied by their number, the next by one less, and none falls below the one
    before.
    """
    ranks = sorted(range(len(p_values)), key=p_values.__getitem__)
    raised = (min(1.0, (len(p_values) - rank) * p_values[place]) for rank, place in enumerate(ranks))
    adjusted = dict(zip(ranks, accumulate(raised, max), strict=True))
    return [adjusted[place] for place in range(len(p_values))]


class _Rival:
    """The other model, which takes the judge's images and has its own numbers for the judge's classes."""

    def __init__(self, model: Candidate, candidate: Candidate, images: Split) -> None:
        if model.input.shape != candidate.input.shape:
            raise DataError(
                f"{model.title} takes images of {list(model.input.shape)}, {candidate.title} of "
                f"{list(candidate.input.shape)}; expected the same, for both see the same corrupted images"
            )
        self._model = model
        self._places = match_classes(
            candidate.classes, model.classes, owner=candidate.title, knower=model.title, used=images.labels
        )

    def evaluate(self, images: Split, *, dataset: str) -> EvaluationResult:
        own = Split(images=images.images, labels=self._places[images.labels])
        return evaluate(self._model, own, dataset=dataset)


def _judge_rows(candidate: Candidate, rival: _Rival | None, images: Split, *, seed: int) -> Iterator[CorruptionRow]:
    yield _judge_row(candidate, rival, images, family=CLEAN, severity={})
    for name, family in FAMILIES.items():
        spoilt = Split(images=corrupt_images(images.images, name, seed=seed), labels=images.labels)
        yield _judge_row(candidate, rival, spoilt, family=name, severity=family.severity)
    reason = explain_unfit(candidate.classes, candidate.input)
    if reason is None:
        try:
            digits = _with_labels_of(candidate, load_uci_digits(candidate.input))
        except ResourceError as error:
            reason = str(error)
        else:
            yield _judge_row(candidate, rival, digits, family=UCI_DIGITS, severity={})
    if reason is not None:
        yield CorruptionRow(family=UCI_DIGITS, severity={}, reason=reason)


def _with_labels_of(candidate: Candidate, digits: Split) -> Split:
    places = match_classes(DIGITS, candidate.classes, owner=UCI_DIGITS, knower=candidate.title, used=digits.labels)
    return Split(images=digits.images, labels=places[digits.labels])


def _judge_row(
    candidate: Candidate, rival: _Rival | None, split: Split, *, family: str, severity: Mapping[str, float]
) -> CorruptionRow:
    result = evaluate(candidate, split, dataset=family)
    if rival is None:
        return CorruptionRow(family=family, severity=severity, report=result.report)
    other = rival.evaluate(split, dataset=family)
    return CorruptionRow(
        family=family,
        severity=severity,
        report=result.report,
        against=other.report,
        paired=compare_paired(result.is_right, other.is_right),
    )


def _adjust(rows: list[CorruptionRow]) -> tuple[CorruptionRow, ...]:
    compared = {row.family: row.paired.p_value for row in rows if row.family in FAMILIES and row.paired is not None}
    adjusted = dict(zip(compared, adjust_holm(list(compared.values())), strict=True))
    return tuple(replace(row, p_holm=adjusted.get(row.family)) for row in rows)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
