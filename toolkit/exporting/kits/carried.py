"""The product's own modules that the Python kit carries: it prepares and doubts as the product by construction."""

from __future__ import annotations

__all__ = ["CARRIED", "carried_modules"]

import ast
import re
from importlib import resources
from pathlib import PurePosixPath

# What the kit's own code imports; what these import comes along.
CARRIED = (
    "toolkit.card",
    "toolkit.errors",
    "toolkit.imaging.decode",
    "toolkit.imaging.guard",
    "toolkit.imaging.pixel_values",
    "toolkit.imaging.prepare",
    "toolkit.imaging.settings",
    "toolkit.nvidia",
    "toolkit.runtimes.engine_words",
)
IMPORT = re.compile(r"^(\s*(?:from|import) )toolkit\b", re.MULTILINE)
TITLE = '"""Modules of onnx-parity-toolkit, unchanged but for the names of their imports; Apache-2.0."""\n'


def carried_modules(package: str) -> dict[PurePosixPath, str]:
    """Return the modules by their paths below a package, which they import one another from.

    Args:
        package: the whole name of the package that they are put into.
    """
    found: dict[str, str] = {}
    wanted = list(CARRIED)
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _read(name)
            wanted += _imports(found[name])
    files = {PurePosixPath("__init__.py"): TITLE}
    for name, text in sorted(found.items()):
        path = PurePosixPath(*name.split(".")[1:]).with_suffix(".py")
        files[path] = IMPORT.sub(rf"\g<1>{package}", text)
        files |= {folder / "__init__.py": TITLE for folder in path.parents}
    return files


def _read(name: str) -> str:
    return (
        resources.files("toolkit").joinpath(*name.split(".")[1:-1], f"{name.rpartition('.')[2]}.py").read_text("utf-8")
    )


def _imports(text: str) -> list[str]:
    """Return the product's modules that a module imports, also those inside its functions."""
    names = [node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module]
    return [name for name in names if name.startswith("toolkit.")]
