"""The report of a parity check."""

from __future__ import annotations

__all__ = ["ParityReport", "ParityRow"]

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.parity.worst import WorstSample


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityRow:
    """One engine with one set of settings. Keys as in `toolkit/parity/1`.

    Attributes:
        runtime: registry name.
        version: the engine's version, None where it did not open.
        provider: the provider that was active, or the one asked for where none was.
        precision: arithmetic of the file, or the one that the engine was asked to compute it in.
        threads: threads asked for; 0 is the engine's own choice.
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
        status: `pass`, `fail` or `skip`.
        reason: every failure, or why it was skipped.
        log: the end of the engine's own log, where it failed.
    """

    runtime: str
    version: str | None = None
    provider: str
    precision: str
    threads: int
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
    reason: str | None = None
    log: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**value, "worst": self.worst.to_json() if self.worst else None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
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

    @property
    def passed(self) -> bool:
        """Whether at least one row was judged and none failed."""
        judged = [row for row in self.rows if row.status != "skip"]
        return bool(judged) and all(row.status == "pass" for row in judged)

    def to_json(self, *, command: str, environment: dict[str, Any]) -> dict[str, Any]:
        """Return schema `toolkit/parity/1`."""
        return {
            "schema": "toolkit/parity/1",
            "command": command,
            "passed": self.passed,
            "reference": self.reference,
            "bound": self.bound,
            "bound_rule": self.bound_rule,
            "baseline": self.baseline,
            "model": self.model,
            "data": self.data,
            "environment": environment,
            "bisect": self.bisect or None,
            "recorded_on": self.recorded_on or None,
            "rows": [row.to_json() for row in self.rows],
        }
