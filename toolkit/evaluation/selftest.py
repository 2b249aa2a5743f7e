"""The golden vectors of a model's card, replayed: needs neither torch nor data."""

from __future__ import annotations

__all__ = ["SelftestReport", "run_selftest"]

from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.card import Card
from toolkit.errors import ModelError
from toolkit.runtimes.base import Runtime


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
    """

    vectors: int
    max_abs_logit_error: float | None
    tolerance: float
    failures: tuple[str, ...]
    provider: str
    fallback: bool = False

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return not self.failures

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/selftest/1`."""
        return {
            "schema": "toolkit/selftest/1",
            "passed": self.passed,
            "provider": self.provider,
            "fallback": self.fallback,
            "vectors": self.vectors,
            "max_abs_logit_error": self.max_abs_logit_error,
            "tolerance": self.tolerance,
            "failures": list(self.failures),
        }


def run_selftest(runtime: Runtime, card: Card) -> SelftestReport:
    """Replay a card's golden vectors, as one batch and one by one, and judge the answers.

    Raises:
        ModelError: the card carries no golden vectors.
    """
    golden = card.golden
    if golden is None:
        raise ModelError("the model's card carries no golden vectors; export again with: toolkit export --golden data")
    images = np.frombuffer(golden.images, np.uint8).reshape(golden.shape)
    reference = np.array(golden.logits)
    failures: list[str] = []
    worst: float | None = None
    for name, outputs in (
        ("as one batch", runtime.run({"images": images})),
        ("one by one", _run_singly(runtime, images)),
    ):
        error = np.abs(outputs["logits"] - reference)
        if not all(np.isfinite(outputs[key]).all() for key in ("logits", "probabilities")):
            failures.append(f"{name}: an output is not finite")
            continue
        worst = max(worst or 0.0, float(error.max()))
        failures += _judge(name, outputs, reference, tolerance=golden.tolerance)
    return SelftestReport(
        vectors=len(images),
        max_abs_logit_error=worst,
        tolerance=golden.tolerance,
        failures=tuple(failures),
        provider=runtime.info.provider_active,
        fallback=runtime.info.fallback,
    )


def _run_singly(runtime: Runtime, images: Any) -> dict[str, Any]:
    answers = [runtime.run({"images": images[index : index + 1]}) for index in range(len(images))]
    return {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}


def _judge(name: str, outputs: dict[str, Any], reference: Any, *, tolerance: float) -> list[str]:
    failures = []
    error = np.abs(outputs["logits"] - reference).max(axis=1)
    if (error > tolerance).any():
        index = int(error.argmax())
        failures.append(
            f"{name}: logits of golden image {index} differ by {error[index]:.3g}; rounding explains {tolerance:.3g}"
        )
    if not np.array_equal(outputs["label"], outputs["logits"].argmax(axis=1)):
        failures.append(f"{name}: `label` is not the argmax of `logits`")
    top = np.sort(reference, axis=1)
    clear = top[:, -1] - top[:, -2] > 2 * tolerance
    flips = (outputs["label"] != reference.argmax(axis=1)) & clear
    if flips.any():
        failures.append(f"{name}: {int(flips.sum())} labels differ from the reference")
    shifted = np.exp(reference - reference.max(axis=1, keepdims=True))
    # |d softmax| <= |d logits| / 2 componentwise for a common bound; float32 rounding of exp is far below it.
    off = np.abs(outputs["probabilities"] - shifted / shifted.sum(axis=1, keepdims=True)).max()
    if off > max(tolerance, 1e-6):
        failures.append(f"{name}: `probabilities` differ from the softmax of the reference by {off:.3g}")
    return failures
