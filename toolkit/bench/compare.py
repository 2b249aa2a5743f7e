"""Two benchmark results, row by row: intervals decide, not points, whether a threshold like `p99>+5%` is passed."""

from __future__ import annotations

__all__ = ["COMPARISON_SCHEMA", "METRICS", "Comparison", "RowChange", "Threshold", "compare_results", "parse_threshold"]

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from toolkit.bench.report import IDENTITY
from toolkit.bench.statistics import PERCENTILES, THROUGHPUT
from toolkit.errors import UsageError, require_known
from toolkit.plain import to_plain

COMPARISON_SCHEMA = "toolkit/comparison/1"
# What else has to be the same for their difference to be the engine's, by the word that allows another.
MACHINE = (("platform", "machine"), ("cpu", "model"), ("cpu", "logical_cores"), ("cpu", "quota_cores"))
SETTINGS = ("optimisation", "tf32", "device", "feeds", "plan")
ALLOWANCES = ("machine", "model", "settings")
METRICS = (*PERCENTILES, "throughput")
PATTERN = re.compile(r"\s*([a-z0-9.]+)\s*([<>])\s*([+-]\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """What became of a row.

    Attributes:
        row: its identity: runtime, provider, precision, batch, threads, scenario.
        ratios: by metric new / old: `low`, `high` (from the ends of both 95 % intervals) and `point`.
        verdicts: by condition `regression`, `fine`, `open` (the interval holds the limit) or `unstable` (one of the
            rows was measured while the machine was busy with something else: its interval is of that, too).
        problem: why nothing could be compared; empty where it could.
    """

    row: dict[str, Any]
    ratios: dict[str, dict[str, float]]
    verdicts: dict[str, str]
    problem: str = ""

    @property
    def is_regression(self) -> bool:
        """Whether a condition surely holds, or the row is gone."""
        return bool(self.problem) or "regression" in self.verdicts.values()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the fields, and whether it is a regression."""
        return {**to_plain(self), "is_regression": self.is_regression}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two results held beside one another.

    Attributes:
        old: path of the first.
        new: path of the second.
        changes: one for each row of the old result.
        added: identities of rows that passed in the new result only.
        differences: what else differs, one sentence each: versions, what was allowed to, rows that had failed before.
    """

    old: str
    new: str
    changes: tuple[RowChange, ...]
    added: tuple[dict[str, Any], ...]
    differences: tuple[str, ...]

    @property
    def regressions(self) -> tuple[RowChange, ...]:
        """The rows that became too slow, failed or are gone."""
        return tuple(change for change in self.changes if change.is_regression)

    @property
    def undecided(self) -> tuple[RowChange, ...]:
        """The rows of which a condition cannot be told."""
        return tuple(change for change in self.changes if {"open", "unstable"} & {*change.verdicts.values()})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values of schema `toolkit/comparison/1`.

        Keys:
            passed: whether no row is a regression.
            undecided: rows of which a condition cannot be told.
        """
        judged = {"passed": not self.regressions, "undecided": len(self.undecided)}
        return {"schema": COMPARISON_SCHEMA, **judged, **to_plain(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A change that is too much.

    Attributes:
        text: as given.
        metric: `p50` to `p99.9`, or `throughput`.
        is_rise: whether more than that is too much, else less.
        change: a share: 0.05 for +5 %.
    """

    text: str
    metric: str
    is_rise: bool
    change: float

    def judge(self, low: float, high: float) -> bool | None:
        """Tell whether a ratio new / old, known to lie between two values, is too much; None where that is open."""
        limit = 1 + self.change
        if self.is_rise:
            return True if low > limit else False if high <= limit else None
        return True if high < limit else False if low >= limit else None


def parse_threshold(text: str) -> Threshold:
    """Read a threshold.

    Raises:
        UsageError: it is none, or of a metric that nobody knows.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise UsageError(f"cannot read the condition {text!r}; expected one like 'p99>+5%' or 'throughput<-3%'")
    metric, sign, percent = match.groups()
    require_known(metric, METRICS, what="metric")
    change = float(percent) / 100
    if (sign == ">") != (change >= 0) or change <= -1:
        raise UsageError(f"the condition {text!r} is true of no change at all; a rise is >+5%, a fall <-3%")
    return Threshold(text=text.strip(), metric=metric, is_rise=sign == ">", change=change)


def compare_results(
    old: dict[str, Any],
    new: dict[str, Any],
    *,
    names: tuple[str, str],
    thresholds: tuple[Threshold, ...] = (),
    allow: frozenset[str] = frozenset(),
) -> Comparison:
    """Compare two results.

    Args:
        old: as `read_result` returns it.
        new: as well.
        names: what they are called.
        thresholds: which changes are regressions.
        allow: of `machine`, `model`, `settings`, what may differ.

    Raises:
        UsageError: something differs that may not, a row holds no interval that a condition asks for, or a result has
            two rows of one identity.
    """
    for result, name in zip((old, new), names, strict=True):
        _require_distinct(result["rows"], name)
    differences = _check_same(old, new, allow=allow)
    changes = []
    for row in old["rows"]:
        if row["status"] != "pass":
            if row["status"] != "skip":
                ended = "failed" if row["status"] == "fail" else "was refused"
                told = f"{names[0]}: {_name(row)} {ended} and is compared with nothing: {row.get('reason')}"
                differences.append(told)
            continue
        other = _find(row, new["rows"], name=names[1])
        differences += _check_settings(row, other, allow=allow) if other else []
        changes.append(_compare_rows(row, other, thresholds=thresholds))
    known = {_identity(row) for row in old["rows"] if row["status"] == "pass"}
    added = tuple(_describe(row) for row in new["rows"] if row["status"] == "pass" and _identity(row) not in known)
    if not changes:
        raise UsageError(f"{names[0]} has no row that passed; there is nothing to compare")
    return Comparison(
        old=names[0], new=names[1], changes=tuple(changes), added=added, differences=tuple(dict.fromkeys(differences))
    )


def _check_same(old: dict[str, Any], new: dict[str, Any], *, allow: frozenset[str]) -> list[str]:
    notes = []
    for group, name in MACHINE:
        seen = (_get(result, "environment", group, name) for result in (old, new))
        notes += _differ(f"{group} {name}", *seen, kind="machine", allow=allow)
    notes += _differ("gpus", *(_gpu_names(result) for result in (old, new)), kind="machine", allow=allow)
    notes += _differ("model", *(_get(result, "model", "sha256") for result in (old, new)), kind="model", allow=allow)
    before, after = (_get(result, "environment", "packages") or {} for result in (old, new))
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return notes + [f"{name} was {before.get(name)}, is {after.get(name)}" for name in changed]


def _check_settings(old: dict[str, Any], new: dict[str, Any], *, allow: frozenset[str]) -> list[str]:
    return [
        note
        for name in SETTINGS
        for note in _differ(name, *(_get(row, "settings", name) for row in (old, new)), kind="settings", allow=allow)
    ]


def _differ(name: str, *seen: object, kind: str, allow: frozenset[str]) -> list[str]:
    old, new = seen
    if old == new:
        return []
    text = f"{name} was {old}, is {new}"
    if kind not in allow:
        raise UsageError(f"{text}: these results cannot be compared; to do it all the same: --allow {kind}")
    return [text]


def _compare_rows(old: dict[str, Any], new: dict[str, Any] | None, *, thresholds: tuple[Threshold, ...]) -> RowChange:
    row = _describe(old)
    if new is None:
        return RowChange(row=row, ratios={}, verdicts={}, problem="the new result has no such row")
    if new["status"] != "pass":
        return RowChange(row=row, ratios={}, verdicts={}, problem=f"{new['status']}: {new.get('reason', '')}")
    ratios = {metric: ratio for metric in METRICS if (ratio := _ratio(old, new, metric=metric)) is not None}
    verdicts = {}
    is_stable = old.get("stable") is not False and new.get("stable") is not False
    for threshold in thresholds:
        ratio = ratios.get(threshold.metric)
        if ratio is None:
            raise UsageError(
                f"{_name(row)} has no interval of {threshold.metric} in both results; measure longer, or again"
            )
        answer = threshold.judge(ratio["low"], ratio["high"])
        verdict = "open" if answer is None else "regression" if answer else "fine"
        verdicts[threshold.text] = verdict if is_stable else "unstable"
    return RowChange(row=row, ratios=ratios, verdicts=verdicts)


def _ratio(old: dict[str, Any], new: dict[str, Any], *, metric: str) -> dict[str, float] | None:
    """Return new / old: the least and the most that both intervals allow, and that of the points."""
    key = THROUGHPUT if metric == "throughput" else metric
    before, after = ((row.get("ci95") or {}).get(key) for row in (old, new))
    points: list[Any] = [
        row.get(key) if metric == "throughput" else (row.get("latency_ms") or {}).get(key) for row in (old, new)
    ]
    if before is None or after is None or None in points or min(before[0], points[0]) <= 0:
        return None
    return {"low": after[0] / before[1], "high": after[1] / before[0], "point": points[1] / points[0]}


def _require_distinct(rows: list[dict[str, Any]], name: str) -> None:
    """Refuse a result in which it would go by the order of its rows which one is compared."""
    # Beside what makes a row the same one: two that were asked for differently may have come down to one provider.
    counts = Counter((*_identity(row), row.get("provider_requested")) for row in rows)
    for row in rows:
        if (count := counts[*_identity(row), row.get("provider_requested")]) > 1:
            raise UsageError(f"{name} has {count} times the {_name(row)}; expected each row once: measure again")


def _find(row: dict[str, Any], rows: list[dict[str, Any]], *, name: str) -> dict[str, Any] | None:
    """Return the row of another result that is this one; one that crashed has no active provider to be known by."""
    asked = row.get("provider_requested")
    same = [other for other in rows if _identity(other) == _identity(row)] or [
        other
        for other in rows
        if other["provider_active"] is None
        and _identity(other, provider_active=None) == _identity(row, provider_active=None)
        and other.get("provider_requested") in {row["provider_active"], asked}
    ]
    found = [other for other in same if other.get("provider_requested") == asked] or same
    if len(found) > 1:
        raise UsageError(f"{name} has {len(found)} times the {_name(row)}; expected one: measure again")
    return found[0] if found else None


def _identity(row: dict[str, Any], **changes: Any) -> tuple[Any, ...]:
    return tuple({**row, **changes}[name] for name in IDENTITY)


def _describe(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in IDENTITY}


def _name(row: dict[str, Any]) -> str:
    provider = row["provider_active"] or row.get("provider_requested")
    where = f"row {row['runtime']} on {provider}, {row['precision']}, batch {row['batch']}, threads {row['threads']}"
    return where if row["scenario"] == "single-stream" else f"{where}, {row['scenario']}"


def _gpu_names(result: dict[str, Any]) -> list[Any]:
    gpus = _get(result, "environment", "gpus") or []
    return [gpu.get("name") for gpu in gpus if isinstance(gpu, dict)]


def _get(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
