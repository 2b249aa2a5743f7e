"""What a comparison with a reference found."""

from __future__ import annotations

__all__ = ["Judgement"]

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict on one suite; truthy when everything held.

    Attributes:
        max_abs_logit_error: largest error, of the logits or, in a stranger's file, of the output that comes nearest to
            its bound; None where the values could not be compared.
        bound: what rounding explains of it.
        label_consistent: whether `label` is the argmax of the engine's own `logits`; None where there is no label.
        flips: labels, or whole numbers, that differ from the reference's.
        flips_excused: those of them that rounding explains.
        worst_index: the item that shows the first failure, else the one with the largest error.
        failures: what did not hold, in the order of the checks.
    """

    max_abs_logit_error: float | None = None
    bound: float
    label_consistent: bool | None = None
    flips: int = 0
    flips_excused: int = 0
    worst_index: int | None = None
    failures: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return not self.failures
