"""The golden vectors of a model's card, replayed: needs neither torch nor data."""

from __future__ import annotations

__all__ = ["SelftestReport", "run_selftest"]

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.card import Card
from toolkit.errors import ModelError
from toolkit.plain import to_plain
from toolkit.runtimes.agreement import compare_outputs
from toolkit.runtimes.base import Opened
from toolkit.runtimes.contract import golden_images


@dataclass(frozen=True, slots=True, kw_only=True)
class SelftestReport:
    """What a replay of the golden vectors showed.

    Attributes:
        vectors: golden images replayed.
        max_abs_logit_error: largest difference to the float64 reference.
        tolerance: largest difference that rounding explains.
        failures: what is wrong, empty when the test passed.
        provider: where it ran.
        fallback: whether that is not what was asked for.
        verdict: `pass`, `fail`, `refused` or `undecided`.
        reference: what the answers were held against: `golden`, or the kind of a stranger's reference.
        reference_witnesses: who vouches for a stranger's reference; None for a model of ours.
        notes: what a reader should know besides, one line each.
        inputs: what a file without a card was fed, as `FeedPlan.to_json` tells; empty where nothing was made.
    """

    vectors: int
    max_abs_logit_error: float | None
    tolerance: float
    failures: tuple[str, ...]
    provider: str
    fallback: bool = False
    verdict: str
    reference: str = "golden"
    reference_witnesses: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return self.verdict == "pass"

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/selftest/1`.

        Keys:
            model: `path` and `sha256` of the file, which `toolkit selftest` adds.
        """
        return {"schema": "toolkit/selftest/1", "passed": self.passed, **to_plain(self)}


def run_selftest(runtime: Opened, card: Card) -> SelftestReport:
    """Replay a card's golden vectors, as one batch and one by one, and judge the answers.

    Raises:
        ModelError: the card carries no golden vectors.
    """
    golden = card.golden
    if golden is None:
        raise ModelError("the model's card carries no golden vectors; export again with: toolkit export --golden data")
    images = golden_images(golden)
    # A size that was baked in, or items that are mixed, shows in one of the two only.
    answers = {"as one batch": runtime.run({"images": images}), "one by one": _run_singly(runtime, images)}
    reference = np.array(golden.logits)
    judged = {name: compare_outputs(item, reference, bound=golden.tolerance) for name, item in answers.items()}
    errors = [item.max_abs_logit_error for item in judged.values() if item.max_abs_logit_error is not None]
    failures = tuple(f"{name}: {text}" for name, item in judged.items() for text in item.failures)
    return SelftestReport(
        vectors=len(images),
        max_abs_logit_error=max(errors, default=None),
        tolerance=golden.tolerance,
        failures=failures,
        verdict="fail" if failures else "pass",
        provider=runtime.info.provider_active,
        fallback=runtime.info.fallback,
    )


def _run_singly(runtime: Opened, images: Any) -> dict[str, Any]:
    answers = [runtime.run({"images": images[index : index + 1]}) for index in range(len(images))]
    return {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}
