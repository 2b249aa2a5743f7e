"""A proof: the commands of the plan, each in a process of its own, so that none ends with another's crash."""

from __future__ import annotations

__all__ = ["prove"]

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.data.load import load_dataset
from toolkit.programs import describe_exit
from toolkit.progress import ShowWork, show_nothing
from toolkit.proving.plan import PICTURES, ProofConfig, ProofStep, plan_steps
from toolkit.proving.report import ProofReport, ProofStepResult
from toolkit.proving.wheels import make_environment

# A step that could not even start an interpreter in the time that is left is not begun.
LEAST_S = 5.0
# Of the time that is left a step gets so much, so that one that hangs leaves some to the others.
SHARE = 0.5


def prove(
    config: ProofConfig,
    folder: Path,
    *,
    wheels: Path | None = None,
    progress: ShowWork = show_nothing,
    on_step: Callable[[ProofReport], None],
) -> ProofReport:
    """Run every command that says something about a provider here.

    Args:
        config: what is to be proven.
        folder: where the commands run: the model goes there, and into `artifacts/` what they write by themselves.
        wheels: a folder with packages, from which they get an environment of their own; None: they run in this one.
        progress: is told which step it is.
        on_step: is given what was found so far after each of them, so that an interruption loses nothing.

    Raises:
        DataError, DownloadError: the pictures cannot be had.
        ResourceError: a package is not in the folder.
    """
    began = time.monotonic()
    python = Path(sys.executable)
    if wheels is not None:
        with progress("installing from the folder"):
            python = make_environment(folder / "environment", wheels, provider=config.provider)
    _write_pictures(config, folder)
    steps = plan_steps(config)
    report = ProofReport(provider=config.provider, data=config.data, steps=(), seconds=0.0)
    left: dict[str, str] = {}
    for number, step in enumerate(steps, start=1):
        if step.is_spare and step.gives in left:
            continue
        words = tuple(word.format(run=left.get("run", "run")) for word in step.words)
        remaining_s = 60 * config.minutes - (time.monotonic() - began)
        if step.needs and step.needs not in left:
            result = _skip(step, words, reason=f"there is no {step.needs}: what makes it failed")
        elif remaining_s < LEAST_S:
            result = _skip(step, words, reason=f"the {config.minutes:g} minutes are over")
        else:
            with progress(f"{step.name} ({number} of {len(steps)})"):
                result = _run(step, words, folder=folder, python=python, limit_s=SHARE * remaining_s)
        if result.status == "pass" and step.gives:
            left[step.gives] = words[-1]
        report = replace(report, steps=(*report.steps, result), seconds=time.monotonic() - began)
        on_step(report)
    return report


def _write_pictures(config: ProofConfig, folder: Path) -> None:
    images = load_dataset(config.data).test.images
    path = folder / PICTURES
    with path.open("wb") as file:
        np.save(file, np.resize(images, (config.pictures, *images.shape[1:])))


def _skip(step: ProofStep, words: Sequence[str], *, reason: str) -> ProofStepResult:
    return ProofStepResult(name=step.name, typed=_typed(words), status="not-run", reason=reason)


def _typed(words: Sequence[str]) -> str:
    return shlex.join(["toolkit", *words])


def _run(step: ProofStep, words: Sequence[str], *, folder: Path, python: Path, limit_s: float) -> ProofStepResult:
    began = time.monotonic()
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder.absolute() / "artifacts")}
    command = [str(python), "-P", "-m", "toolkit", *words, "--json"]
    log = folder / "logs" / f"{step.name.replace(' ', '-')}.txt"
    log.parent.mkdir(exist_ok=True)
    code, report = None, None
    with log.open("w+", encoding="utf-8", errors="replace") as words_said:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=words_said,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            reason = f"it was not done after {limit_s:.0f} s, half of the time that was left, and was ended"
        else:
            words_said.seek(0)
            code, report = done.returncode, _read_report(done.stdout)
            reason = "" if code == 0 else _last_error(words_said) or f"it {describe_exit(code)}"
    lacks_tool = step.is_optional and any(kit["check"]["status"] == "not-run" for kit in (report or {}).get("kits", ()))
    return ProofStepResult(
        name=step.name,
        typed=_typed(words),
        status="pass" if code == 0 else "not-run" if lacks_tool else "fail",
        seconds=time.monotonic() - began,
        exit_code=code,
        reason=reason,
        is_optional=step.is_optional,
        report=report,
    )


def _last_error(lines: Iterable[str]) -> str:
    """Return what a command says of its failure: it stands in the last line that begins so."""
    told = [line.removeprefix("error: ").strip() for line in lines if line.startswith("error: ")]
    return told[-1] if told else ""


def _read_report(text: bytes) -> dict[str, Any] | None:
    try:
        report = json.loads(text)
    except ValueError:  # it crashed, or was killed, before it wrote one
        return None
    return report if isinstance(report, dict) else None
