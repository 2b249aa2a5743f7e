"""Real `toolkit train` processes, alone or under torchrun, watched from outside."""

from __future__ import annotations

__all__ = ["Training", "run_to_end"]

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

# What takes longer hangs, also on a machine that does other work.
PATIENCE_S = 600.0


class Training:
    """A training under way, whose processes are all gone at the end of the block.

    Args:
        root: where results go.
        arguments: after `toolkit train`.
        processes: more than one are started by torchrun.
    """

    def __init__(self, root: Path, *arguments: str, processes: int = 1) -> None:
        root.mkdir(exist_ok=True, parents=True)
        self._texts = [root / f"{stream}-{time.monotonic_ns()}.txt" for stream in ("out", "err")]
        # A port of its own, so that tests can run side by side.
        helper = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
        command = [sys.executable, "-m", *(helper if processes > 1 else []), "toolkit", "train", *arguments]
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._others_cpu_s = usage.ru_utime + usage.ru_stime
        with self._texts[0].open("w") as out, self._texts[1].open("w") as err:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=err,
                env={**os.environ, "TOOLKIT_ARTIFACTS": str(root), "OMP_WAIT_POLICY": "PASSIVE"},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in [*self.ranks(), self.process.pid]:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended by itself
        self.process.wait()

    @property
    def out(self) -> str:
        """What it wrote to stdout so far."""
        return self._texts[0].read_text()

    @property
    def err(self) -> str:
        """What it wrote to stderr so far."""
        return self._texts[1].read_text()

    def wait_for(self, words: str) -> None:
        """Wait until its output holds some words."""
        end = time.monotonic() + PATIENCE_S
        while words not in self.out:
            assert self.process.poll() is None, f"it ended before {words!r}: {self.err}"
            assert time.monotonic() < end, f"it never said {words!r}: {self.out}{self.err}"
            time.sleep(0.02)

    def end(self) -> int:
        """Wait for its end and return the exit code."""
        return self.process.wait(timeout=PATIENCE_S)

    def cpu_s(self) -> float:
        """Return the processor's time that it has taken, in seconds; also after its end."""
        if self.process.returncode is not None:
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime - self._others_cpu_s
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ranks(self) -> list[int]:
        """Return the process numbers that torchrun started; none where there is no /proc."""
        listing = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in listing.read_text().split()] if listing.exists() else []


def run_to_end(root: Path, *arguments: str, processes: int = 1) -> Training:
    """Train to the end and return what was said; it must go well."""
    with Training(root, *arguments, processes=processes) as training:
        code = training.end()
    assert code == 0, training.err
    return training
