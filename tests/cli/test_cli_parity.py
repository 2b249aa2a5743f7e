"""`toolkit parity` that is interrupted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from toolkit.artifacts import ArtifactStore

# Ctrl-C when the first of the two rows is finished, however long that takes.
INTERRUPTED = """
import os, signal, sys
from toolkit.cli import output
from toolkit.cli.app import main
show = output.ProgressBar.__call__
def interrupt(bar, done, total):
    show(bar, done, total)
    if (done, total) == (1, 2):
        os.kill(os.getpid(), signal.SIGINT)
output.ProgressBar.__call__ = interrupt
main(sys.argv[1:])
"""


def test_interrupt_writes_the_rows_that_are_finished(model_path: Path) -> None:
    axes = ["--runtime", "ort", "--threads", "1", "--optimisation", "all,none", "--sample", "64"]
    command = [sys.executable, "-c", INTERRUPTED, "parity", str(model_path), *axes, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    report = json.loads(done.stdout)
    assert (report["interrupted"], report["passed"]) == (True, False)
    assert [row["status"] for row in report["rows"]] == ["pass"]
    (path,) = (ArtifactStore.default().root / "reports").glob("parity-*.json")
    assert json.loads(path.read_text()) == report
    assert "parity INTERRUPTED against" in done.stderr
    assert "INTERRUPTED  what stands above is finished" in done.stderr
    assert done.stderr.endswith("interrupted\n")
