"""Which runtimes are installed, in which version, and what brings the others; imports none of them.

Engines that do not live in this Python lie in a private environment each, brought on request. What lies there is
executed, so it is the user's own: no folder that one happens to work in can bring one along.
"""

from __future__ import annotations

__all__ = [
    "PRIVATE_FOLDER_VARIABLE",
    "RuntimeRow",
    "find_private_folder",
    "install_private",
    "is_installed",
    "list_runtimes",
    "private_packages",
    "private_python",
    "private_root",
]

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.artifacts import user_folder
from toolkit.durable import read_json, replaced_folder, settle_folder, write_json
from toolkit.errors import ResourceError, UsageError
from toolkit.holding import hold
from toolkit.programs import find_program, run_program
from toolkit.runtimes.registry import RUNTIMES, RuntimeEntry, find_runtime, is_importable

# Where workers, which run in an empty folder, find them.
PRIVATE_FOLDER_VARIABLE = "TOOLKIT_RUNTIMES"
MARKER = "installed.json"
# Hundreds of megabytes over a slow line.
INSTALL_TIMEOUT_S = 1800.0
# An engine has up to a gigabyte to fetch.
PATIENCE_S = 900.0


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
        executes: `file`; `run` where it executes the run's own network; `server` where it asks one.
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
    from importlib import metadata  # half of what this module would take to load

    distributions = metadata.packages_distributions()
    return tuple(_describe(name, entry, distributions=distributions) for name, entry in RUNTIMES.items())


def is_installed(name: str) -> bool:
    """Tell whether an engine is found; whether it works is seen when it is opened."""
    entry = find_runtime(name)
    if not entry.private:
        return is_importable(entry.package)
    try:
        find_private_folder(name)
    except ResourceError:
        return False
    return True


def private_root() -> Path:
    """Return the folder of all private environments: `TOOLKIT_RUNTIMES`, else one in the user's own data folder.

    Raises:
        ResourceError: there is no home.
    """
    data = user_folder(PRIVATE_FOLDER_VARIABLE, base_variable="XDG_DATA_HOME", base=".local/share")
    return data if os.environ.get(PRIVATE_FOLDER_VARIABLE) else data / "runtimes"


def find_private_folder(name: str) -> Path:
    """Return a runtime's folder.

    Raises:
        ResourceError: it was not installed, not to its end, in other versions than this toolkit asks for, or where
            somebody else may write.
    """
    folder, entry = private_root() / name, find_runtime(name)
    settle_folder(folder)
    if not (folder / MARKER).is_file():
        raise ResourceError(f"runtime {name} is not installed; install it with: {entry.install}")
    _require_own(folder, mend=entry.install)
    packages = read_json(folder / MARKER).get("packages")
    if packages != list(entry.private):
        raise ResourceError(
            f"runtime {name} is installed as {packages}; expected {list(entry.private)}; mend it with: {entry.install}"
        )
    return folder


def private_python(name: str) -> str | None:
    """Return the interpreter of a runtime's own environment, None where it lives in this one.

    Raises:
        UsageError: the runtime is unknown.
        ResourceError: as `find_private_folder`.
    """
    return str(_python_in(find_private_folder(name))) if find_runtime(name).pip else None


def private_packages(name: str) -> tuple[str, ...]:
    """Return the packages that a runtime's private folder is made of.

    Raises:
        UsageError: the runtime is unknown, or lives in this Python.
    """
    entry = find_runtime(name)
    if not entry.private:
        private = ", ".join(key for key, other in RUNTIMES.items() if other.private)
        raise UsageError(f"runtime {name} lives in this Python; install it with: {entry.install} (private: {private})")
    return entry.private


def install_private(name: str) -> Path:
    """Install a runtime's packages into its private folder, in the place of what was there, and return the folder.

    An installation under way is waited for. One that fails or is killed leaves what was there before.

    Raises:
        UsageError: the runtime is unknown, or lives in this Python.
        ResourceError: npm or pip is missing or fails, the folder cannot be written, or another installation is
            not through after a quarter of an hour.
    """
    packages = private_packages(name)
    install = _install_npm if find_runtime(name).npm else _install_pip
    folder = private_root() / name
    try:
        with hold(folder, wait_s=PATIENCE_S), replaced_folder(folder, mode=0o700) as made:
            install(made, packages)
            marker = {"schema": "toolkit/private-runtime/1", "runtime": name, "packages": list(packages)}
            write_json(made / MARKER, marker)
    except OSError as error:
        raise ResourceError(f"cannot install runtime {name} into {folder}: {error.strerror or error}") from error
    return folder


def _describe(name: str, entry: RuntimeEntry, *, distributions: Any) -> RuntimeRow:
    from importlib import metadata

    installed, brought_by, version = is_installed(name), None, None
    if installed and entry.private:
        brought_by, _, version = entry.private[0].replace("==", "@").rpartition("@")
    elif installed:
        # A folder of several distributions (iree) is listed under the first.
        brought_by = min(distributions.get(entry.package.partition(".")[0], []), default=None)
        version = metadata.version(brought_by) if brought_by else None
    return RuntimeRow(
        runtime=name,
        package=entry.package,
        installed=installed,
        distribution=brought_by,
        version=version,
        devices=entry.devices,
        executes="run" if entry.needs_run else "server" if entry.is_remote else "file",
        is_reference=entry.is_reference,
        install=entry.install,
    )


def _require_own(folder: Path, *, mend: str) -> None:
    """Refuse a folder into which somebody else can put what this user would execute; Windows tells nothing of it.

    What another user puts in its place is not this user's, so the folder above it need not be looked at.
    """
    if not hasattr(os, "geteuid"):
        return
    status = folder.stat()
    if status.st_uid not in {os.geteuid(), 0} or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ResourceError(
            f"{folder} belongs to user {status.st_uid} with mode {stat.S_IMODE(status.st_mode):o}; what is executed "
            f"there has to be writable by this user alone; close it with: chmod go-w {folder}; or make it anew: {mend}"
        )


def _install_npm(folder: Path, packages: tuple[str, ...]) -> None:
    """Install without package scripts: what they would fetch (CUDA libraries) is not asked for."""
    npm = find_program("npm", "apt-get install nodejs npm")
    (folder / "package.json").write_text("{}\n")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", *packages]
    if words := run_program(command, folder=folder, timeout_s=INSTALL_TIMEOUT_S):
        raise ResourceError(f"npm cannot install {', '.join(packages)}: {words[0]}")


def _install_pip(folder: Path, packages: tuple[str, ...]) -> None:
    """Make an environment of exactly these pinned packages: without their dependencies, no constraint is needed."""
    import venv  # as rare as it is slow to load

    venv.create(folder, with_pip=False)
    options = ["--no-deps", "--disable-pip-version-check", "--retries=1", "--timeout=15"]
    command = [sys.executable, "-P", "-m", "pip", "--python", str(_python_in(folder)), "install", *options, *packages]
    if words := run_program(command, folder=folder, timeout_s=INSTALL_TIMEOUT_S):
        errors = [line for line in words if line.startswith("ERROR:")]
        reason = (errors or words)[-1]
        raise ResourceError(f"pip cannot install {', '.join(packages)}: {reason}; it needs an index that it can reach")


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
