"""What a proof found: one result for each of its commands."""

from __future__ import annotations

__all__ = ["PROOF_SCHEMA", "ProofReport", "ProofStepResult"]

from dataclasses import dataclass
from typing import Any

from toolkit.plain import to_plain

PROOF_SCHEMA = "toolkit/prove/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofStepResult:
    """What became of one command.

    Attributes:
        name: of the step.
        typed: the command, to be repeated in the proof's folder.
        status: `pass`, `fail`, or `not-run`.
        seconds: how long it took.
        exit_code: of the command; None where it was not run or was ended.
        reason: why it failed or was not run.
        is_optional: whether the proof holds without it.
        report: the command's own report; None where it left none.
    """

    name: str
    typed: str
    status: str
    seconds: float = 0.0
    exit_code: int | None = None
    reason: str = ""
    is_optional: bool = False
    report: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReport:
    """All of a proof.

    Attributes:
        provider: what it is about.
        data: the data set.
        steps: in the order in which they were run.
        seconds: all of it.
    """

    provider: str
    data: str
    steps: tuple[ProofStepResult, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every step that the proof needs was run and passed, and no other failed."""
        return all(step.status == "pass" or (step.is_optional and step.status == "not-run") for step in self.steps)

    def find(self, name: str) -> ProofStepResult | None:
        """Return a step's result; None where it has not come to it."""
        return next((step for step in self.steps if step.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON can hold it; schema `toolkit/prove/1`."""
        return {"schema": PROOF_SCHEMA, "passed": self.passed, **to_plain(self)}
