"""Private environments: engines that do not live in this Python, each in a folder of its own, brought on request."""

from __future__ import annotations

__all__ = ["PRIVATE_FOLDER_VARIABLE", "find_private_folder", "install_private", "private_packages", "private_root"]

import os
import shutil
import subprocess
from pathlib import Path

from toolkit.artifacts import ArtifactStore
from toolkit.durable import write_json
from toolkit.errors import ResourceError, UsageError
from toolkit.runtimes.registry import RUNTIMES, find_entry

# Where workers, which run in an empty folder, find them.
PRIVATE_FOLDER_VARIABLE = "TOOLKIT_RUNTIMES"
MARKER = "installed.json"


def private_root() -> Path:
    """Return the folder of all private environments: `TOOLKIT_RUNTIMES`, else `runtimes` among the results."""
    named = os.environ.get(PRIVATE_FOLDER_VARIABLE)
    return Path(named) if named else (ArtifactStore.default().root / "runtimes").resolve()


def find_private_folder(name: str) -> Path:
    """Return a runtime's folder.

    Raises:
        ResourceError: it was not installed, or not to its end.
    """
    folder = private_root() / name
    if not (folder / MARKER).is_file():
        raise ResourceError(f"runtime {name} is not installed; install it with: {find_entry(name).install}")
    return folder


def private_packages(name: str) -> tuple[str, ...]:
    """Return the packages of npm that a runtime is made of.

    Raises:
        UsageError: the runtime is unknown, or lives in this Python.
    """
    entry = find_entry(name)
    if not entry.npm:
        private = ", ".join(key for key, other in RUNTIMES.items() if other.npm)
        raise UsageError(f"runtime {name} lives in this Python; install it with: {entry.install} (private: {private})")
    return entry.npm


def install_private(name: str) -> Path:
    """Install a runtime's packages into its private folder, replacing what was there, and return the folder.

    Package scripts are not run: what they would fetch (CUDA libraries) is not asked for.

    Raises:
        UsageError: the runtime is unknown, or lives in this Python.
        ResourceError: npm is missing or fails.
    """
    packages = private_packages(name)
    npm = shutil.which("npm")
    if npm is None:
        raise ResourceError("there is no `npm` on the PATH; get it with: apt-get install nodejs npm")
    folder = private_root() / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text("{}\n")
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", *packages]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ResourceError(f"npm cannot install {', '.join(packages)}: {words[0]}")
    write_json(folder / MARKER, {"schema": "toolkit/private-runtime/1", "runtime": name, "packages": list(packages)})
    return folder
