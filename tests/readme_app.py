"""An app made of a README's own lines: its files written, its commands run, as they stand."""

from __future__ import annotations

__all__ = ["ReadmeApp"]

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A file's name in the comment that is its first line: `# app.py`, `// app.cpp`, `/* app.c */`, `<!-- index.html -->`.
FILE_NAME = re.compile(r"^(?:#|//|/\*|<!--) ([\w./-]+)")


class ReadmeApp:
    """A folder with a kit in it as `kit`, as the README says.

    Args:
        kit: the kit's folder; copied.
        folder: where the app comes to be.
    """

    def __init__(self, kit: Path, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        shutil.copytree(kit, folder / "kit")
        text = (kit / "README.md").read_text("utf-8")
        assert "Copy this folder into the app's as `kit`" in " ".join(text.split())
        blocks = BLOCK.findall(text)
        self.commands = [block for language, block in blocks if language == "sh"]
        for language, block in blocks:
            if language != "sh":
                name = FILE_NAME.match(block)
                assert name, f"a block of {language} does not name its file: {block[:60]!r}"
                (folder / name[1]).write_text(block, encoding="utf-8")

    def install(self) -> None:
        """Run every line of commands but the last, which names a picture."""
        lines = [line for block in self.commands for line in block.splitlines()]
        self.last = lines.pop()
        for line in lines:
            done = self._run(line)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    def name_picture(self) -> str:
        """Run the last command; returns what it prints."""
        done = self._run(self.last)
        assert done.returncode == 0, f"{self.last}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _run(self, line: str) -> subprocess.CompletedProcess[str]:
        # `python3` is the one that runs the tests, and its packages are not the app's.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        return subprocess.run(
            ["bash", "-euc", line],
            cwd=self.folder,
            env={**environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
