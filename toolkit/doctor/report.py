"""What the doctor found: one row for each thing examined."""

from __future__ import annotations

__all__ = ["DOCTOR_SCHEMA", "DoctorReport", "DoctorRow", "explain", "installed_version"]

import re
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from toolkit.errors import ProviderError, ToolkitError, UsageError, suggest
from toolkit.plain import to_plain
from toolkit.telling.summary import Summarised, Summary

DOCTOR_SCHEMA = "toolkit/doctor/1"
# Every message of ours that knows a remedy ends in one of these and the command.
MEND = re.compile(r"; (?:get it(?: again)?|mend it|install it) with: (?P<mend>.+)$")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DoctorRow(Summarised):
    """One thing examined.

    Attributes:
        name: `ort/cuda`, `torch/cpu`, `openvino/cpu`, `onnxruntime installation`, `CUDA versions`, `cuDNN`, `GPU`.
        kind: `provider` (of ONNX Runtime, or a device of PyTorch), `runtime`, `installation`, `cuda`, `library`, `gpu`.
        version: installed version, None where nothing is.
        opens: whether it opens; None where that was not tried.
        runs: whether a real convolution gives the right answer; None where that was not tried.
        placement: number of graph nodes by provider.
        device: what WebGPU computes on: `adapter`, `driver`, `backend`, `software`.
        status: `pass` works, `absent` is not here, `fail` is here and broken.
        reason: what is missing or wrong.
        mend: the command that brings or repairs it, where one does.
        log: last lines of a worker that died.
    """

    name: str
    kind: str
    version: str | None = None
    opens: bool | None = None
    runs: bool | None = None
    placement: dict[str, int] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    status: str = "pass"
    reason: str = ""
    mend: str = ""
    log: str = ""

    def summarise(self) -> Summary:
        """Return the row in a line."""
        reason = f"; {self.reason}" if self.reason else ""
        return Summary(f"{self.name} {self.version or ''}: {self.status}{reason}")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DoctorReport(Summarised):
    """All that was found.

    Attributes:
        command: what repeats it.
        environment: the machine, as `describe_environment` tells.
        rows: in the order examined.
    """

    command: str
    environment: dict[str, Any]
    rows: tuple[DoctorRow, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values of schema `toolkit/doctor/1`; `passed` is whether nothing is broken.

        Keys:
            passed: whether nothing that is here is broken.
        """
        passed = not any(row.status == "fail" for row in self.rows)
        return {"schema": DOCTOR_SCHEMA, "passed": passed, **to_plain(self)}

    def summarise(self) -> Summary:
        """Return what works, and why the rest does not."""
        working = [row.name for row in self.rows if row.status == "pass" and row.kind in {"provider", "runtime"}]
        rows = [(row.name, row.version or "", row.status, row.reason) for row in self.rows]
        return Summary(
            f"works here: {', '.join(working) or 'nothing'}", {}, rows, ("name", "version", "status", "reason")
        )

    def find(self, name: str) -> DoctorRow:
        """Return the row of a provider (`cuda` is `ort/cuda`), of a runtime (`torch` is `torch/cpu`) or of both by `/`.

        Raises:
            UsageError: nothing of that name was examined.
        """
        rows = {row.name: row for row in self.rows if row.kind in {"provider", "runtime"}}
        for key in (name, f"ort/{name}", f"{name}/cpu"):
            if key in rows:
                return rows[key]
        known = sorted({*rows, *(key.removeprefix("ort/") for key in rows)})
        raise UsageError(f"nothing called {name!r}{suggest(name, known)} is examined; known: {', '.join(known)}")

    def require(self, name: str) -> None:
        """Insist that a provider or runtime works.

        Raises:
            UsageError: nothing of that name was examined.
            ProviderError: it does not work; says why and what brings it.
        """
        row = self.find(name)
        if row.status != "pass":
            mend = f"; get it with: {row.mend}" if row.mend else ""
            raise ProviderError(f"{row.name} is required and does not work: {row.reason}{mend}")


def explain(error: ToolkitError | str) -> dict[str, Any]:
    """Return a message taken apart: `reason`, and `mend`, the command, which is empty where the message knows none."""
    text = str(error)
    found = MEND.search(text)
    return {"reason": text[: found.start()], "mend": found["mend"]} if found else {"reason": text, "mend": ""}


def installed_version(names: tuple[str, ...]) -> str | None:
    """Return the version of the first of these distributions that is installed, None where none is."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
