"""The distributions as anybody would build them, and a user who has installed one."""

from __future__ import annotations

__all__ = ["CONSTRAINTS", "ROOT", "Installation", "build"]

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An environment with the wheel, and a user with an empty home who works in an empty folder.

    Attributes:
        scripts: the folder of the environment's commands.
        folder: where the user works.
        environment: the user's variables.
    """

    scripts: Path
    folder: Path
    environment: dict[str, str]

    def run(self, *words: str, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, which has to leave with this code."""
        done = subprocess.run(
            [str(self.scripts / words[0]), *words[1:]],
            cwd=cwd or self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done


def build(folder: Path, *options: str) -> None:
    """Build from the repository, isolated and pinned; nothing is left in it."""
    command = [sys.executable, "-P", "-m", "build", *options, "--outdir", str(folder), str(ROOT)]
    pinned = {**os.environ, "PIP_CONSTRAINT": str(CONSTRAINTS)}
    done = subprocess.run(command, env=pinned, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
