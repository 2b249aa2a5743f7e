"""Templates of kits: consumer code for a model in many languages, filled with values; package data and one function."""

from __future__ import annotations

__all__ = ["KITS", "read_licence", "render_file", "render_kit"]

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import PurePosixPath

from ..spec import ExportError

KITS = ("python", "node", "web", "c", "cpp", "triton")
# A value in a template: `@{name}`. The languages' own braces and dollars stay as they are.
VALUE = re.compile(r"@\{([a-z0-9_]+)\}")
# Files of other folders that a kit carries too.
SCRIPTS = tuple(f"javascript/{name}.js" for name in ("classifier", "prepare", "drawing", "ground", "resize", "guard"))
SHARED = {"node": SCRIPTS, "web": SCRIPTS, "cpp": ("c/golden.h", "c/guard.h")}


def render_kit(kit: str, values: Mapping[str, str]) -> dict[PurePosixPath, str]:
    """Return a kit's files by their names, filled.

    Args:
        kit: one of `KITS`.
        values: by the names that the templates have between `@{` and `}`; what no template names is left out.

    Raises:
        ExportError: a template names a value that is not given.
    """
    root = resources.files(__package__)
    sources = [*(root / kit).iterdir(), *(root / name for name in SHARED.get(kit, ()))]
    files = {source.name: source.read_text("utf-8") for source in sources if source.is_file()}
    # A template of Python is no module: it ends in `.in`, so that nothing takes it for one.
    return {
        PurePosixPath(name.removesuffix(".in")): render_file(text, values, name=name)
        for name, text in sorted(files.items())
    }


def read_licence(package: str) -> str:
    """Return the licence of a package that a kit bundles."""
    return (resources.files(__package__) / "licences" / f"{package}.txt").read_text("utf-8")


def render_file(text: str, values: Mapping[str, str], *, name: str) -> str:
    """Return a template's text with its values.

    Raises:
        ExportError: it names a value that is not given.
    """

    def fill(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ExportError(f"template {name} names {match[1]!r}, which has no value")
        return values[match[1]]

    return VALUE.sub(fill, text)
