"""Who is asked about a file: the product's own commands, as a user types them."""

from __future__ import annotations

__all__ = ["Verdict", "ask_parity", "ask_selftest", "is_caught"]

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# 1: a check ran and failed; 4: the file was refused. Anything else says nothing about the file.
CAUGHT = {1, 4}


class Verdict(NamedTuple):
    """What a judge said.

    Attributes:
        code: exit code of its command.
        reason: its last line on standard error; empty when it passed.
    """

    code: int
    reason: str


def is_caught(verdict: Verdict) -> bool:
    """Return whether the fault was seen.

    Raises:
        RuntimeError: the command neither passed nor judged.
    """
    if verdict.code not in {0, *CAUGHT}:
        raise RuntimeError(f"a judge left with exit code {verdict.code}: {verdict.reason}")
    return verdict.code in CAUGHT


def ask_parity(model: Path, run: Path, *, sample: int | None) -> Verdict:
    """Run `toolkit parity` on ONNX Runtime with the run at hand."""
    chosen = [] if sample is None else ["--sample", str(sample)]
    target = str(model.with_suffix(".parity.json"))
    words = ["parity", str(model), "--runtime", "ort", "--run", str(run), *chosen, "--output", target, "--force"]
    return _ask([sys.executable, "-m", "toolkit", *words], folder=model.parent)


def ask_selftest(model: Path) -> Verdict:
    """Run `toolkit selftest`."""
    return _ask([sys.executable, "-m", "toolkit", "selftest", str(model)], folder=model.parent)


def _ask(command: list[str], *, folder: Path) -> Verdict:
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder / "out"), "TOOLKIT_CACHE": str(folder / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    lines = [line.removeprefix("error: ") for line in done.stderr.splitlines() if line.startswith("error: ")]
    return Verdict(done.returncode, lines[-1][:300] if done.returncode and lines else "")
