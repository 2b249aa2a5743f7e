"""What a call is about: a model's file or a run, by its path, its name, or the report that made it."""

from __future__ import annotations

__all__ = ["MODEL", "PathLike", "as_path", "find_model", "find_run_or_model", "held_output", "write_report"]

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from toolkit.artifacts import ArtifactStore, check_output
from toolkit.errors import UsageError
from toolkit.holding import hold

# A report that made a file is its path, too.
PathLike: TypeAlias = str | os.PathLike[str]
MODEL = "an .onnx file's path, or what toolkit.export returned"


def find_model(model: PathLike, *, store: ArtifactStore) -> Path:
    """Return the path of a model file.

    Raises:
        UsageError: it is no path, or there is no such file.
    """
    path = as_path(model, expected=MODEL)
    if not path.exists():
        raise UsageError(f"no model {path}; models lie in {store.root / 'models'}")
    return path


def find_run_or_model(subject: PathLike, *, store: ArtifactStore) -> Path:
    """Return the path of an `.onnx` file, or of a run as `read_run` takes it.

    Raises:
        UsageError: there is no such file or run.
    """
    from toolkit.runs.run import find_run

    path = as_path(subject, expected="a run, an .onnx file's path, or what train or export returned")
    return find_model(path, store=store) if path.suffix.lower() == ".onnx" else find_run(path, store=store)


@contextlib.contextmanager
def held_output(output: PathLike | None, *, force: bool, inputs: Iterable[Path] = ()) -> Iterator[Path | None]:
    """Hold the file that a report goes to against others; None where it goes nowhere.

    Raises:
        UsageError: it exists and `force` is not set, is a folder, or is an input.
        ResourceError: another process writes it, or its folder cannot be made.
    """
    if output is None:
        yield None
        return
    path = as_path(output, expected="a path")
    check_output(path, force=force, inputs=tuple(inputs))
    with hold(path):
        yield path


def write_report(path: Path | None, report: Any) -> None:
    """Write what a report's `to_json` returns, where it is to be written."""
    if path is not None:
        from toolkit.durable import write_json

        write_json(path, report.to_json())


def as_path(given: object, *, expected: str) -> Path:
    """Return the path that was given.

    Raises:
        UsageError: it is none; `expected` says what would be.
    """
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"{given!r} is of type {type(given).__name__}; expected {expected}")
    return Path(given)
