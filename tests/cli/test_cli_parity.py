"""`toolkit parity` that is interrupted, and what its workers inherit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from toolkit.artifacts import ArtifactStore
from toolkit.training.process import SPIN_COUNT

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
# It ends before anything is opened.
WAITING = """
import os, sys
os.environ.pop("OMP_WAIT_POLICY", None), os.environ.pop("GOMP_SPINCOUNT", None)
from toolkit.cli.app import main
try:
    main(["parity", "none.onnx"])
except SystemExit:
    print(os.environ["GOMP_SPINCOUNT"], "torch" in sys.modules)
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


def test_workers_inherit_how_long_a_waiting_thread_holds_a_core() -> None:
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(SPIN_COUNT), "False"]
