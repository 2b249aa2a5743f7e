"""Commands that tell at their end which of the heavy modules they loaded."""

from __future__ import annotations

__all__ = ["spied"]

import sys
from pathlib import Path

HEAVY = ["numpy", "torch", "onnx", "onnxruntime", "matplotlib", "PIL", "requests", "safetensors", "onnxscript"]
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
