"""Explicit outputs of a command: refused before anything is done, and held against other commands until it ends."""

from __future__ import annotations

__all__ = ["check_output", "check_picture", "claim_outputs"]

from collections.abc import Iterable
from pathlib import Path

from toolkit.errors import ResourceError, UsageError
from toolkit.holding import claim


def check_output(path: Path, *, force: bool, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse an explicit output that would overwrite something.

    Raises:
        UsageError: the output exists and `force` is not set, is a folder, is one of the inputs or lies in one.
    """
    for source in inputs if path.exists() else ():
        if source.exists() and (path.samefile(source) or source.resolve() in path.resolve().parents):
            raise UsageError(f"the output {path} is also an input; choose another name")
    if path.is_dir():
        raise UsageError(f"the output {path} is a folder; give a file name")
    if path.exists() and not force:
        raise UsageError(f"the output {path} exists; give another name or --force")


def claim_outputs(*paths: Path | None, force: bool, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse as `check_output` does, and hold the outputs against other commands until this one ends.

    Args:
        paths: where the command is going to write; None where an output was not asked for.
        force: whether they may exist.
        inputs: what is read; None where an input was not given.

    Raises:
        UsageError: as `check_output`, or two outputs are one file.
        ResourceError: another command writes one, or its folder cannot be made.
    """
    targets, sources = [path for path in paths if path], tuple(path for path in inputs if path)
    places = [path.resolve() for path in targets]
    for path, place in zip(targets, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"two outputs are both {path}; give each its own name")
    for path in targets:
        check_output(path, force=force, inputs=sources)
        if not claim(path):
            raise ResourceError(f"{path} is being written by another command; wait for it or choose another name")
        check_output(path, force=force, inputs=sources)  # the other one may just have ended


def check_picture(path: Path | None) -> None:
    """Refuse the name of a picture that does not say what it will be.

    Raises:
        UsageError: it does not end in `.png`.
    """
    if path is not None and path.suffix.lower() != ".png":
        raise UsageError(f"the picture {path} does not end in .png; pictures are PNG files")
