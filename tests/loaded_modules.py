"""Commands that tell at their end which of the heavy modules they loaded."""

from __future__ import annotations

__all__ = ["modules_after", "spied"]

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = ["numpy", "torch", "onnx", "onnxruntime", "matplotlib", "PIL", "requests", "safetensors", "onnxscript", "grpc"]
# Of our own: what one PNG must not wait for.
HEAVY += ["toolkit.data", "toolkit.imaging.codecs.tiff"]
SPY = """
import atexit, json, os, sys
def tell():
    found = [name for name in {heavy!r} if name in sys.modules]
    with open({report!r}, "w") as stream:
        json.dump(found, stream)
atexit.register(tell)
from toolkit.cli.app import main
main(sys.argv[1:])
"""


def spied(arguments: list[str], report: Path) -> list[str]:
    """Return the command line that runs a `toolkit` command and leaves the names in a JSON file."""
    return [sys.executable, "-c", SPY.format(heavy=HEAVY, report=str(report)), *arguments]


def modules_after(
    arguments: list[str], *, cwd: Path, environment: dict[str, str] | None = None, code: int = 0
) -> set[str]:
    """Run a command in a new process and return the heavy modules that it had loaded at its end."""
    report = cwd / "modules.json"
    command = spied(arguments, report)
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return set(json.loads(report.read_text()))
