"""How a command ends that made something: what came out, every file on a line of its own, what to do with it."""

from __future__ import annotations

__all__ = ["command_line", "ending_lines", "list_run_files", "next_steps"]

from collections.abc import Iterable, Mapping
from pathlib import Path
from shlex import join, quote

from rich.text import Text

from toolkit.environment import sleeping_environment
from toolkit.runs.run import checkpoint_folder


def list_run_files(run: Path) -> list[Path]:
    """Return what a training left: the files of the run's folder, and the folder of its checkpoints."""
    files = [path for path in sorted(run.glob("*")) if path.is_file() and not path.name.startswith(".")]
    return [*files, checkpoint_folder(run)]


def next_steps(run: Path, model: Path, *, is_exported: bool) -> dict[str, list[str]]:
    """Return what to do with a run that was trained, `{what for: command}`.

    Args:
        run: its folder.
        model: the file that an export of it makes, or made.
        is_exported: whether it is there.
    """
    steps = {
        "write it as one .onnx file:": ["toolkit", "export", run.name],
        "try it in the browser, drawing or with a picture:": ["toolkit", "demo", str(model)],
        "let it label your own pictures:": ["toolkit", "predict", str(model), "PICTURES"],
        "embed it in Python, Node, a web page, C or C++:": ["toolkit", "export", run.name, "--kit", "all"],
    }
    return dict([*steps.items()][1:] if is_exported else [*steps.items()][:3])


def ending_lines(files: Iterable[Path | str], steps: Mapping[str, list[str]]) -> list[Text]:
    """Return the files, each path whole and alone, and the commands that go on, as they can be pasted.

    Args:
        files: all that was made.
        steps: commands in words, by what each is for.
    """
    lines = ["files:", *(f"  {path}" for path in files), "go on with:"]
    asleep = sleeping_environment()
    if asleep is not None:
        lines += [
            "  once in this shell, so that toolkit is found:",
            f"    source {quote(str(asleep / 'bin' / 'activate'))}",
        ]
    for purpose, command in steps.items():
        lines += [f"  {purpose}", f"    {join(command)}"]
    return [command_line(line) for line in lines]


def command_line(line: str) -> Text:
    """Return a line that is never folded, so that a path or a command is copied whole; the terminal may break it."""
    return Text(line, no_wrap=True, overflow="ignore")
