"""What may be said of a row by a stranger's reference: nobody is blamed, and nobody passes, without a witness."""

from __future__ import annotations

__all__ = ["settle_row"]

from dataclasses import replace

from toolkit.parity.feed_reference import UNDECIDED, FeedsReference
from toolkit.parity.report import ParityRow

# They run the reference's own code: where they differ from it, it differs from itself.
ORT_FAMILY = {"ort", "ort-node", "ort-web"}


def settle_row(row: ParityRow, reference: FeedsReference) -> ParityRow:
    """Return the row as `undecided` where the reference decides neither way.

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


def _join(*parts: str | None) -> str:
    return "; ".join(filter(None, parts))
