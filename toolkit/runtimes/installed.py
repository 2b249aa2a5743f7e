"""Which runtimes are installed, in which version, and what would bring the others; imports none of them."""

from __future__ import annotations

__all__ = ["RuntimeRow", "is_installed", "list_runtimes"]

import importlib.metadata
from dataclasses import dataclass
from typing import Any

from toolkit.errors import ResourceError
from toolkit.runtimes.private_environments import find_private_folder
from toolkit.runtimes.registry import RUNTIMES, RuntimeEntry, find_entry, is_importable


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRow:
    """One runtime and whether it is here.

    Attributes:
        runtime: registry name.
        package: import name of the engine.
        installed: whether it is found; `toolkit doctor` and `toolkit parity` say whether it works.
        distribution: what brought it, as pip names it; None where nothing did.
        version: the distribution's.
        devices: what it can be asked to run on.
        executes: `file`, or `run` where it executes the run's own network.
        is_reference: whether it is what others are compared with.
        install: the command that brings it.
    """

    runtime: str
    package: str
    installed: bool
    distribution: str | None
    version: str | None
    devices: tuple[str, ...]
    executes: str
    is_reference: bool
    install: str


def list_runtimes() -> tuple[RuntimeRow, ...]:
    """Return one row for each runtime, in the registry's order."""
    distributions = importlib.metadata.packages_distributions()
    return tuple(_describe(name, entry, distributions) for name, entry in RUNTIMES.items())


def is_installed(name: str) -> bool:
    """Tell whether an engine is found; whether it works is seen when it is opened."""
    entry = find_entry(name)
    if not entry.private:
        return is_importable(entry.package)
    try:
        find_private_folder(name)
    except ResourceError:
        return False
    return True


def _describe(name: str, entry: RuntimeEntry, distributions: Any) -> RuntimeRow:
    installed, brought_by, version = is_installed(name), None, None
    if installed and entry.private:
        brought_by, _, version = entry.private[0].replace("==", "@").rpartition("@")
    elif installed:
        # A folder of several distributions (iree) is listed under the first.
        brought_by = min(distributions.get(entry.package.partition(".")[0], []), default=None)
        version = importlib.metadata.version(brought_by) if brought_by else None
    return RuntimeRow(
        runtime=name,
        package=entry.package,
        installed=installed,
        distribution=brought_by,
        version=version,
        devices=entry.devices,
        executes="run" if entry.needs_run else "file",
        is_reference=entry.is_reference,
        install=entry.install,
    )
