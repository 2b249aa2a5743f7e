"""The report of a parity check: its rows, and of each the worst sample."""

from __future__ import annotations

__all__ = ["ParityReport", "ParityRow", "WorstSample", "find_worst", "share_of_bound"]

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.counts import count_of
from toolkit.parity.trial import Expectation, Outcome
from toolkit.plain import to_plain
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.providers import mark_software
from toolkit.telling.summary import Summarised, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstSample:
    """One item of a suite, with the whole call in which it was seen: an error may depend on its neighbours.

    Attributes:
        settings: how the engine was opened.
        suite: the suite's name.
        batch: the batch size.
        index: its place in what was judged of the suite.
        position: its place in the call.
        error: its error; None where values could not be compared.
        expected: the known answers of the call.
        failures: what did not hold.
    """

    settings: RuntimeSettings
    suite: str
    batch: int
    index: int
    position: int
    error: float | None
    expected: Expectation
    failures: tuple[str, ...] = ()

    @property
    def failed_output(self) -> str:
        """The output that the first failure names, else the first one."""
        names = self.expected.output_names
        words = re.findall(r"[`']([^`']+)[`']", self.failures[0] if self.failures else "")
        return next((word for word in words if word in names), names[0])

    @property
    def image(self) -> NDArray[np.uint8] | None:
        """The image, uint8 `[H, W]` or `[H, W, 3]`; None in a stranger's file."""
        return self.expected.image(self.position)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without the answers."""
        return {"suite": self.suite, "batch": self.batch, "index": self.index, "error": self.error}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ParityRow(Summarised):
    """One engine with one set of settings. Keys as in `toolkit/parity/1`.

    Attributes:
        runtime: registry name.
        version: the engine's version, None where it did not open.
        provider: the provider that was active, or the one asked for where none was.
        precision: arithmetic of the file, or the one that the engine was asked to compute it in.
        threads: threads asked for; 0 is the engine's own choice.
        runs_at_once: requests that a server was sent at the same time; 1 elsewhere.
        optimisation: graph optimisation level; None where the engine has none.
        batch_sizes: every batch size that was run.
        native_batch: whether the engine took every batch size itself, or was called in a loop.
        images: images judged, all suites together.
        max_abs_logit_error: of the suite that comes nearest to its bound.
        bound: of that suite.
        error_ratio: error on the test images against PyTorch float32's own (or the baseline's).
        label_consistent: whether `label` is always the argmax of the engine's own logits.
        flips: labels that differ from the reference's.
        flips_excused: those of them explained by the bound.
        fallback: whether another provider than the one asked for was active.
        suites: for each suite its `images`, `max_abs_logit_error`, `bound`, `flips` and `worst_index`.
        worst: the sample that comes nearest to its bound, or the first that fails; None where nothing ran.
        worst_files: where it was written: its `image`, and the file that `replay`s it.
        causes: what explains a failure, where triage found something.
        status: `pass`; `fail`: wrong answers, or a crash; `refused`: the engine does not take the file; `undecided`: no
            witness says who is right; `skip`.
        was_named: whether the engine was asked for by its name, so that a refusal is a failure of the whole check.
        reason: every failure, or why it was skipped, refused or not decided.
        notes: what was passed over to come to an answer, one line each.
        device: what WebGPU computed on: `adapter`, `driver`, `backend`, `software`.
        elsewhere: nodes that the provider left to another.
        log: the end of the engine's own log, where it failed.
    """

    runtime: str
    version: str | None = None
    provider: str
    precision: str
    threads: int
    runs_at_once: int = 1
    optimisation: str | None
    batch_sizes: tuple[int, ...] = ()
    native_batch: bool = True
    images: int = 0
    max_abs_logit_error: float | None = None
    bound: float | None = None
    error_ratio: float | None = None
    label_consistent: bool | None = None
    flips: int = 0
    flips_excused: int = 0
    fallback: bool = False
    suites: dict[str, dict[str, Any]] = field(default_factory=dict)
    worst: WorstSample | None = None
    worst_files: dict[str, str] = field(default_factory=dict)
    causes: tuple[str, ...] = ()
    status: str
    was_named: bool = True
    reason: str | None = None
    notes: tuple[str, ...] = ()
    device: dict[str, Any] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()
    log: str | None = None

    def summarise(self) -> Summary:
        """Return the row in a line."""
        runtime, provider, precision, threads, level, images, error, bound, changed, status = self.cells()
        where = (
            f"{runtime} on {provider}, {precision}, {threads} threads{f', level {level}' if level else ''}: {status}"
        )
        figures = f", largest error {error}, bound {bound}, {changed} changed of {images}" if error else ""
        return Summary(f"{where}{figures}{f'; {self.reason}' if self.reason else ''}")

    def cells(self) -> tuple[str, ...]:
        """Return what sets the row apart and its main figures, as text."""
        figures = ("" if item is None else f"{item:.2g}" for item in (self.max_abs_logit_error, self.bound))
        sizes = (str(self.threads), self.optimisation or "", f"{self.images:,}")
        where = mark_software(self.provider, self.device)
        return (self.runtime, where, self.precision, *sizes, *figures, str(self.flips), self.status)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ParityReport(Summarised):
    """A whole matrix.

    Attributes:
        reference: which float64 answer was taken.
        bound: for the test images, or for the first call of a stranger's file.
        bound_rule: where the bound comes from.
        baseline: whose error the ratios are against.
        rows: one for each engine and setting.
        model: `path` and `sha256`.
        data: `name` and `sha256` of the data set.
        bisect: the first node that is wrong, where it was asked for and found.
        recorded_on: the machine that computed the reference, where it was not this one.
        reference_witnesses: who vouches for the reference of a stranger's file, as `Witnesses.to_json`.
        remarks: what a reader should know of a stranger's outputs that tell little.
        left_out: what was not asked for the budget.
        environment: the machine that it was checked on, before that.
        is_interrupted: whether it was ended before every row was judged.
        command: what repeats it.
    """

    reference: str
    bound: float
    bound_rule: str
    baseline: str
    rows: tuple[ParityRow, ...]
    model: dict[str, Any]
    data: dict[str, Any]
    bisect: dict[str, Any] = field(default_factory=dict)
    recorded_on: dict[str, Any] = field(default_factory=dict)
    reference_witnesses: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    environment: dict[str, Any] = field(default_factory=dict)
    is_interrupted: bool = False
    command: str = ""

    @property
    def failed(self) -> tuple[ParityRow, ...]:
        """The rows for which the check fails: wrong answers, and refusals of engines that were asked for by name."""
        return tuple(row for row in self.rows if row.status == "fail" or (row.status == "refused" and row.was_named))

    @property
    def verdict(self) -> str:
        """`pass`: at least one row passes and none fails or is open; `undecided`: some are open or not judged."""
        statuses = {row.status for row in self.rows}
        if self.failed:
            return "fail"
        if "undecided" in statuses or self.is_interrupted:
            return "undecided"
        return "pass" if "pass" in statuses else "fail"

    @property
    def passed(self) -> bool:
        """Whether the verdict is `pass`."""
        return self.verdict == "pass"

    def summarise(self) -> Summary:
        """Return the verdict, what was judged against what, and a row for each engine and setting."""
        columns = (
            "runtime",
            "provider",
            "precision",
            "threads",
            "level",
            "images",
            "error",
            "bound",
            "changed",
            "status",
        )
        facts = {
            "model": self.model["path"],
            "reference": f"{self.reference}, bound {self.bound:.2g}: {self.bound_rule}",
            "judged on": self.data["name"],
        }
        word = "interrupted" if self.is_interrupted else self.verdict
        title = f"parity {word}: {count_of(len(self.rows), 'row')}"
        return Summary(title, facts, [row.cells() for row in self.rows], columns)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/parity/1`."""
        told = {name: item for name, item in to_plain(self).items() if name != "is_interrupted"}
        return {
            "schema": "toolkit/parity/1",
            "passed": self.passed,
            "verdict": self.verdict,
            "interrupted": self.is_interrupted,
            **told,
            "bisect": self.bisect or None,
            "recorded_on": self.recorded_on or None,
        }


def find_worst(outcomes: Sequence[Outcome], settings: RuntimeSettings) -> WorstSample:
    """Return the worst sample of the first trial that failed, else of the one that came nearest to its bound."""
    failed = [outcome for outcome in outcomes if not outcome.agreement]
    outcome = failed[0] if failed else max(outcomes, key=share_of_bound)
    trial, agreement = outcome.trial, outcome.agreement
    index = agreement.worst_index or 0
    start, expected = trial.expected.around(index, trial.batch)
    return WorstSample(
        settings=settings,
        suite=trial.suite,
        batch=trial.batch,
        index=index,
        position=index - start,
        error=agreement.max_abs_logit_error,
        expected=expected,
        failures=agreement.failures,
    )


def share_of_bound(outcome: Outcome) -> float:
    """Return the error as a share of the bound; infinite where values could not be compared."""
    error = outcome.agreement.max_abs_logit_error
    if not error:
        return float("inf") if error is None else 0.0
    return error / outcome.agreement.bound
