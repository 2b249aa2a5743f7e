"""Options that mean the same in every command."""

from __future__ import annotations

__all__ = [
    "AllowFallback",
    "Batch",
    "DataName",
    "Force",
    "Json",
    "ModelPath",
    "OutputPath",
    "Providers",
    "Runtimes",
    "Threads",
    "split_names",
    "split_numbers",
]

from pathlib import Path
from typing import Annotated

import typer

from toolkit.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout and nothing else.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an output that exists.")]
OutputPath = Annotated[Path | None, typer.Option("--output", "-o", help="Where to write; a unique name by default.")]
DataName = Annotated[
    str | None,
    typer.Option("--data", help="mnist, mnist-mini, or a folder with four IDX files.", show_default=False),
]
Providers = Annotated[
    str | None,
    typer.Option("--provider", help="Providers, comma-separated: cpu, cuda, tensorrt, openvino, auto, all."),
]
Runtimes = Annotated[str | None, typer.Option("--runtime", help="Runtimes, comma-separated: ort, torch, all.")]
Batch = Annotated[str | None, typer.Option("--batch", help="Batch sizes, comma-separated.")]
Threads = Annotated[
    str | None, typer.Option("--threads", help="Thread counts, comma-separated; 0 is the engine's own.")
]
AllowFallback = Annotated[
    bool,
    typer.Option("--allow-fallback", help="Go on with the CPU where a provider is not active, and mark every row."),
]
ModelPath = Annotated[Path | None, typer.Argument(help="An .onnx file; the latest one by default.", show_default=False)]


def split_names(text: str) -> tuple[str, ...]:
    """Split `a,b` into names.

    Raises:
        UsageError: nothing is left after splitting.
    """
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise UsageError(f"{text!r} names nothing; give names separated by commas")
    return names


def split_numbers(text: str, *, option: str, least: int) -> tuple[int, ...]:
    """Split `1,32` into whole numbers.

    Raises:
        UsageError: a part is not a whole number of at least `least`.
    """
    try:
        numbers = tuple(int(part) for part in split_names(text))
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not a list of whole numbers such as 1,32") from error
    if min(numbers) < least:
        raise UsageError(f"{option} {text!r} holds {min(numbers)}; the least is {least}")
    return numbers
