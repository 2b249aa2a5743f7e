"""What was tried to make an int8 file, and why it was kept or not."""

from __future__ import annotations

__all__ = ["Int8Report"]

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.exporting.int8_gate import Int8Gate
from toolkit.exporting.int8_tries import Int8Try


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Report:
    """The table of tries with the gate.

    Attributes:
        model: `path` and `sha256` of the float32 file.
        output: where the int8 file lies, or would.
        calibration: `images` and `seed`.
        ranking: `images` that ranked the tries, and `split`, what they were to the run.
        tries: one row for each setting.
        gate: what the test images said; None where no try came so far.
        failures: why there is no file; empty where there is one.
    """

    model: dict[str, Any]
    output: Path
    calibration: dict[str, int]
    ranking: dict[str, Any]
    tries: tuple[Int8Try, ...] = ()
    gate: Int8Gate | None = None
    failures: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether the file was kept."""
        return not self.failures

    @property
    def chosen(self) -> Int8Try | None:
        """The try that was looked at on the test images."""
        return next((item for item in self.tries if item.status == "chosen"), None)

    def to_json(self) -> dict[str, Any]:
        """Return schema `toolkit/int8/1`, without command and environment."""
        return {
            "schema": "toolkit/int8/1",
            "passed": self.passed,
            "model": self.model,
            "output": str(self.output),
            "calibration": self.calibration,
            "ranking": self.ranking,
            "gate": None if self.gate is None else self.gate.to_json(),
            "failures": list(self.failures),
            "rows": [item.to_json() for item in self.tries],
        }
