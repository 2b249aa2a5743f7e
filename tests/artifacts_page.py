"""What `artifacts/README.md` says of a folder of results."""

from __future__ import annotations

__all__ = ["named_patterns", "unnamed_files"]

import re
from pathlib import Path, PurePosixPath

PAGE = Path(__file__).resolve().parent.parent / "artifacts" / "README.md"


def named_patterns() -> list[str]:
    """Return the paths that the page names, `*` for anything."""
    return re.findall(r"^    (\S+) ", PAGE.read_text(), re.MULTILINE)


def unnamed_files(root: Path) -> list[str]:
    """Return the files below a folder of results that no line of the page names; what lies deeper in a named one is its own."""
    files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return [file for file in files if not any(_is_named(file, pattern) for pattern in named_patterns())]


def _is_named(file: str, pattern: str) -> bool:
    depth = pattern.count("/") + 1
    name = PurePosixPath(*PurePosixPath(file).parts[:depth]) if pattern.endswith("/*") else PurePosixPath(file)
    return len(name.parts) == depth and name.match(pattern)
