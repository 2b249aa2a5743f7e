"""What a case's answers say of the reference."""

from __future__ import annotations

__all__ = ["Verdict", "judge_case"]

from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance.cases import Array, Case
from conformance.rulings import find_ruling
from conformance.witnesses import Answer

# A witness in float64 has to agree to this share of the answer's largest number.
WIDE_TOLERANCE = 1e-9
WIDE = {"torch", "ort-float64"}
# Answers of one engine, which has one voice; `onnx`, which shares our operators, has none.
ONE_ENGINE = {"ort-float64": "ort"}
OURS = "onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is known of the reference's answer to one case.

    Attributes:
        name: the case.
        family: its family.
        status: `equal`, `different`, `no reference` or `no witness`.
        agree: who answers as the reference does.
        differ: who does not, with the largest difference.
        refused: who has no answer, and why.
        ruling: the standard's text, where it decides against a witness.
        reason: why there is no reference.
    """

    name: str
    family: str
    status: str
    agree: tuple[str, ...] = ()
    differ: dict[str, str] | None = None
    refused: dict[str, str] | None = None
    ruling: str = ""
    reason: str = ""


def judge_case(case: Case, reference: Answer, answers: dict[str, Answer]) -> Verdict:
    """Hold the witnesses' answers against the reference's.

    ONNX Runtime's agreement, or that of a stated answer, decides; without it the majority, or the standard's text in
    `rulings`. The same operators in the file's own types have to agree in any case.
    """
    refused = {name: answer for name, answer in answers.items() if isinstance(answer, str)}
    if isinstance(reference, str):
        return Verdict(name=case.name, family=case.family, status="no reference", refused=refused, reason=reference)
    differ = {}
    for name, answer in answers.items():
        if not isinstance(answer, str):
            tolerance = WIDE_TOLERANCE if name in WIDE else case.tolerance
            difference = _explain_difference(reference, answer, tolerance)
            if difference:
                differ[name] = difference
    agree = tuple(name for name in answers if name not in refused and name not in differ)
    ruling = find_ruling(case.name, differ) if differ else ""
    return Verdict(
        name=case.name,
        family=case.family,
        status=_status(agree, differ, ruling),
        agree=agree,
        differ=differ,
        refused=refused,
        ruling=ruling,
    )


def _status(agree: tuple[str, ...], differ: dict[str, str], ruling: str) -> str:
    for_it, against = ({ONE_ENGINE.get(name, name) for name in names} - {OURS} for names in (agree, differ))
    if OURS in differ and not ruling:
        return "different"
    if not for_it and not against:
        return "no witness"
    if ruling or (for_it - against) & {"ort", "stated"}:
        return "equal"
    return "equal" if len(for_it) > len(against) else "different"


def _explain_difference(reference: dict[str, Any], answer: dict[str, Any], tolerance: float) -> str:
    """Return what sets an answer apart from the reference's; empty where nothing does."""
    for name, wanted in reference.items():
        if name in answer:  # PyTorch answers what it has
            difference = _explain_one(wanted, answer[name], tolerance)
            if difference:
                return f"{name} {difference}"
    return ""


def _explain_one(wanted: Any, seen: Any, tolerance: float) -> str:
    if isinstance(wanted, list):
        if not isinstance(seen, list) or len(seen) != len(wanted):
            return f"is no sequence of {len(wanted)}"
        pairs = zip(wanted, seen, strict=True)
        return next(filter(None, (_explain_one(one, two, tolerance) for one, two in pairs)), "")
    if wanted is None or isinstance(wanted, dict):
        return "" if wanted == seen else "is another"
    wanted, seen = _as_numbers(wanted), _as_numbers(seen)
    if seen.shape != wanted.shape:
        return f"is {list(seen.shape)} for {list(wanted.shape)}"
    if not np.issubdtype(wanted.dtype, np.floating):
        return "" if np.array_equal(seen, wanted) else f"differs in {int((seen != wanted).sum())} of {wanted.size}"
    error = _largest_error(wanted, seen)
    scale = max(1.0, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0)))
    return "" if error <= tolerance * scale else f"by {error:.3g} of {scale:.3g}"


def _as_numbers(value: Any) -> Array:
    """Widen the small floats, which NumPy does not know as such: its comparison takes no notice of their NaN."""
    array = np.asarray(value)
    is_small = "float" in array.dtype.name and not np.issubdtype(array.dtype, np.floating)
    return array.astype(np.float32) if is_small else array


def _largest_error(wanted: Array, seen: Array) -> float:
    same = (wanted == seen) | (np.isnan(wanted) & np.isnan(seen))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0, np.abs(wanted - seen.astype(np.float64)))
    return float(error.max(initial=0)) if not np.isnan(error).any() else float("nan")
