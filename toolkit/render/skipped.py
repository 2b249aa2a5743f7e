"""What was not run, a line for each cause: a matrix has many engines, and most machines few."""

from __future__ import annotations

__all__ = ["describe_skipped"]

from collections.abc import Iterable

from toolkit.doctor.report import MEND


def describe_skipped(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return `not run: tract, iree (not installed: pip install ...)`, a line for each remedy or cause.

    Args:
        rows: of each the engine's name and why it was not run.
    """
    told: dict[str, list[str]] = {}
    for name, reason in rows:
        told.setdefault(_cause(name, reason), []).append(name)
    return [f"not run: {', '.join(dict.fromkeys(names))} ({cause})" for cause, names in told.items()]


def _cause(name: str, reason: str) -> str:
    found = MEND.search(reason)
    if found and ("not installed" in reason or "cannot be imported" in reason):
        return f"not installed: {found['mend']}"
    if reason.startswith("provider "):
        return "not active here; why, and what brings it: toolkit doctor"
    # What differs in the engine's name alone is one cause.
    return reason.replace(f"runtime {name} ", "the engine ")
