"""From an engine's outcomes to its row of the matrix."""

from __future__ import annotations

__all__ = ["describe_row", "find_baseline", "settle_row", "summarise_row", "with_ratio"]

from dataclasses import replace

from toolkit.parity.references.feeds import UNDECIDED, FeedsReference
from toolkit.parity.report import ParityRow, find_worst, share_of_bound
from toolkit.parity.trial import Outcome
from toolkit.runtimes.base import RuntimeInfo, RuntimeSettings

# They run the reference's own code: where they differ from it, it differs from itself.
ORT_FAMILY = {"ort", "ort-node", "ort-web"}


def describe_row(row: ParityRow, info: RuntimeInfo) -> ParityRow:
    """Return the row with what is really running."""
    reason = f"asked for {row.provider}; {info.details.get('fallback_reason', '')}" if info.fallback else None
    return replace(
        row,
        version=info.version,
        provider=info.provider_active,
        fallback=info.fallback,
        native_batch=info.native_batch,
        reason=reason,
        device=info.device,
        elsewhere=tuple(info.details.get("elsewhere", ())),
    )


def summarise_row(row: ParityRow, outcomes: list[Outcome], *, settings: RuntimeSettings) -> ParityRow:
    """Return the row of an engine that was asked every trial; one that answered none has refused the file."""
    nearest = max(outcomes, key=share_of_bound)
    if all(item.agreement.is_refusal for item in outcomes):
        return replace(row, status="refused", reason=_join(row.reason, outcomes[0].agreement.failures[0]))
    failures, unclear = (_gather(outcomes, kind) for kind in ("failures", "unclear"))
    full: dict[str, Outcome] = {}
    for item in outcomes:
        full.setdefault(item.trial.suite, item)  # the main batch size comes first
    sampled = _describe_sample(outcomes)
    consistent = [item.agreement.label_consistent for item in outcomes]
    return replace(
        row,
        batch_sizes=tuple(dict.fromkeys(item.trial.batch for item in outcomes)),
        images=sum(len(item.trial.expected) for item in full.values()),
        max_abs_logit_error=nearest.agreement.max_abs_logit_error,
        bound=nearest.agreement.bound,
        label_consistent=None if None in consistent else all(consistent),
        flips=sum(item.agreement.flips for item in full.values()),
        flips_excused=sum(item.agreement.flips_excused for item in full.values()),
        suites={name: _suite_json(item) for name, item in full.items()},
        worst=find_worst(outcomes, settings),
        status="fail" if failures else "undecided" if unclear else "pass",
        reason=_join(row.reason, sampled, *failures, *unclear),
    )


def settle_row(row: ParityRow, reference: FeedsReference) -> ParityRow:
    """Return the row as `undecided` where the reference decides neither way.

    Nobody is blamed, and nobody passes, without a witness.

    Args:
        row: of an engine that ran every call.
        reference: of a stranger's file.
    """
    question = reference.open_question
    if row.status == "pass" and question:
        return replace(row, status="undecided", reason=_join(row.reason, question))
    if row.status != "fail" or not row.suites:
        return row
    if reference.kind == UNDECIDED:
        return replace(row, status="undecided", reason=_join(question, row.reason))
    if reference.witnesses.is_alone and row.runtime not in ORT_FAMILY:
        lonely = f"no third engine says whether it or {reference.kind} is right"
        return replace(row, status="undecided", reason=_join(row.reason, lonely))
    return row


def find_baseline(rows: list[ParityRow]) -> tuple[str, float | None]:
    """Return whose error ratios are against: PyTorch float32's own, else unoptimised ONNX Runtime's."""
    candidates = [("torch float32", row) for row in rows if row.runtime == "torch"]
    candidates += [
        ("ort float32, unoptimised", row) for row in rows if row.runtime == "ort" and row.optimisation == "none"
    ]
    for name, row in candidates:
        error = _first_error(row)
        if row.status == "pass" and row.provider == "cpu" and error:
            return name, error
    return "none", None


def with_ratio(row: ParityRow, baseline: float | None, *, limit: float) -> ParityRow:
    """Return the row with its error against the baseline's; over the limit it fails."""
    error = _first_error(row)
    if baseline is None or error is None:
        return row
    # Only the error on the test images: both sides saw the very same ones.
    ratio = error / baseline
    if ratio <= limit:
        return replace(row, error_ratio=ratio)
    reason = f"the error is {ratio:.3g} times the baseline's; the limit is {limit:g}"
    return replace(row, error_ratio=ratio, status="fail", reason=_join(row.reason, reason))


def _gather(outcomes: list[Outcome], kind: str) -> list[str]:
    """Return an agreement's `failures`, or what is `unclear`, of every trial."""
    return [
        f"{item.trial.suite} at batch {item.trial.batch}: {text}"
        for item in outcomes
        for text in getattr(item.agreement, kind)
    ]


def _join(*parts: str | None) -> str | None:
    return "; ".join(filter(None, parts)) or None


def _describe_sample(outcomes: list[Outcome]) -> str | None:
    first = outcomes[0].trial
    judged = len(first.expected)
    if judged >= first.available:
        return None
    words = f"slow: {judged:,} of {first.available:,} {first.suite} images, evenly spaced"
    others = [item.trial for item in outcomes if item.trial.suite == first.suite and item.trial.batch != first.batch]
    is_very_slow = len({len(trial.expected) for trial in others}) > 1
    return f"{words}; other batch sizes on a batch and one image" if is_very_slow else words


def _suite_json(item: Outcome) -> dict[str, object]:
    agreement = item.agreement
    return {
        "images": len(item.trial.expected),
        "max_abs_logit_error": agreement.max_abs_logit_error,
        "bound": agreement.bound,
        "flips": agreement.flips,
        "worst_index": agreement.worst_index,
    }


def _first_error(row: ParityRow) -> float | None:
    """Return the error on the test images, or on the first call of a stranger's file."""
    error: float | None = next(iter(row.suites.values()), {}).get("max_abs_logit_error")
    return error
