"""`toolkit predict` as a user meets it: in the test's own process, or in one whose memory is watched."""

from __future__ import annotations

__all__ = ["Predicted", "predict_here", "read_rows", "resident_mb", "run_predict"]

import csv
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands_here import run_here

CLOCK_S = 0.02


@dataclass(frozen=True)
class Predicted:
    """What a run left.

    Attributes:
        code: exit code.
        rows: of the CSV.
        stderr: text.
        peak_mb: the most resident memory of the process and its descendants together, in MiB, sampled.
        seconds: from start to end.
    """

    code: int
    rows: list[dict[str, str]]
    stderr: str
    peak_mb: float
    seconds: float

    def by_name(self) -> dict[str, dict[str, str]]:
        """Return the rows by the last part of their source."""
        return {Path(row["source"]).name: row for row in self.rows}


def predict_here(*arguments: Any, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command as `main` does, without a process's start to wait for, and check its exit code."""
    done = run_here("predict", *map(str, arguments), stdin=stdin)
    assert done.returncode == code, done.stderr
    return done


def run_predict(*arguments: Any, output: Path, stdin: bytes | None = None) -> Predicted:
    """Run the command to its end; the CSV has to parse whatever happened."""
    command = [sys.executable, "-m", "toolkit", "predict", *map(str, arguments), "-o", str(output), "--force"]
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        peak: list[float] = [0.0]
        sampler = threading.Thread(target=_sample, args=(process, peak))
        sampler.start()
        _, stderr = process.communicate(stdin or b"")
        sampler.join()
    text = stderr.decode()
    assert "Traceback" not in text
    return Predicted(process.returncode, read_rows(output), text, peak[0], time.monotonic() - start)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return a CSV's rows; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, strict=True))


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants, in MiB; what they share counts once."""
    total_kib = 0
    waiting = [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        try:
            text = (folder / "smaps_rollup").read_text()
            total_kib += int(text.partition("\nPss:")[2].split(maxsplit=1)[0])
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, IndexError):  # it has ended
            continue
    return total_kib / 1024


def _sample(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    while process.poll() is None:
        peak[0] = max(peak[0], resident_mb(process.pid))
        time.sleep(CLOCK_S)
