"""How large the house is, and how far a command walks in it: code lines, modules, rooms, project files entered.

    python benchmarks/house.py [--still] [--output JSON]

The code is counted by reading it: code lines are those that hold more than blanks, comments and docstrings. The walk is
counted by running each command on the mini MNIST (no network) with `sys.setprofile` in the command's own process, which
leaves out what its workers enter: files in which a function was called, and files loaded at all. `--still` leaves the
commands out.
"""

from __future__ import annotations

__all__ = ["count_code_lines", "main", "read_imports", "read_sources"]

import argparse
import ast
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tokenize
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("toolkit", "exporters")
SCHEMA = "toolkit/benchmark-house/1"
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
# Reports go last: a command that leaves with its own exit code still has its files written.
WALK = """
import atexit, json, sys, threading
roots, report = tuple(sys.argv[1].split(":")), sys.argv[2]
entered = set()
def note(frame, event, argument):
    if event == "call" and frame.f_code.co_name != "<module>" and frame.f_code.co_filename.startswith(roots):
        entered.add(frame.f_code.co_filename)
def write():
    sys.setprofile(None)
    loaded = {str(getattr(module, "__file__", None)) for module in tuple(sys.modules.values())}
    loaded = sorted(file for file in loaded if file.startswith(roots))
    with open(report, "w") as stream:
        json.dump({"entered": sorted(entered), "loaded": loaded}, stream)
atexit.register(write)
sys.argv[:] = ["toolkit", *sys.argv[3:]]
threading.setprofile(note)
sys.setprofile(note)
from toolkit.cli.app import main
sys.exit(main())
"""
COMMANDS: dict[str, list[str]] = {
    "--help": ["--help"],
    "train": ["train", "--data", "mnist-mini", "--recipe", "fast", "--epochs", "1"],
    "export": ["export"],
    "predict": ["predict", "IMAGE", "--output", "predictions.csv"],
    "bench": ["bench", "--seconds", "0.5", "--batch", "1"],
    "parity": ["parity", "--data", "mnist-mini"],
}


def main() -> None:
    """Count, run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--still", action="store_true", help="count the code only; run no command")
    parser.add_argument("--output", type=Path, help="write the report as JSON")
    options = parser.parse_args()
    report: dict[str, Any] = {"schema": SCHEMA, "code": _count_code()}
    for name, value in report["code"].items():
        sys.stdout.write(f"{name:42} {value}\n")
    if not options.still:
        report["commands"] = _walk_commands()
        sys.stdout.write(f"\n{'command':10} {'files entered':>14} {'files loaded':>13}\n")
        for name, files in report["commands"].items():
            sys.stdout.write(f"{name:10} {len(files['entered']):14} {len(files['loaded']):13}\n")
    if options.output:
        options.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def count_code_lines(text: str) -> int:
    """Lines of Python source that hold more than blanks, comments and docstrings."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            words = node.body[0]
            lines.difference_update(range(words.lineno, (words.end_lineno or words.lineno) + 1))
    return len(lines)


def read_sources() -> dict[Path, str]:
    """The text of every module."""
    return {path: path.read_text(encoding="utf-8") for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))}


def _count_code() -> dict[str, Any]:
    sources = read_sources()
    graph = read_imports(sources)
    importers = Counter(target for targets in graph.values() for target in targets)
    sizes = Counter(path.parent for path in sources if path.name != "__init__.py")
    (largest, most), *_ = sizes.most_common(1)
    before = sum(_lines_before_definitions(text) for text in sources.values())
    lines = sum(len(text.splitlines()) for text in sources.values())
    return {
        "code lines": sum(count_code_lines(text) for text in sources.values()),
        "lines": lines,
        "modules": len(sources),
        "modules without __init__.py": sum(sizes.values()),
        "folders": len(sizes),
        "modules a folder, median": statistics.median(sizes.values()),
        "modules of the largest folder": f"{most} ({largest.relative_to(ROOT)})",
        "modules with one importer, %": round(100 * sum(importers[name] == 1 for name in graph) / len(graph), 1),
        "lines before the first definition, %": round(100 * before / lines, 1),
        "an import circle": " -> ".join(_find_circle(graph)) or "none",
        "code lines of tests": sum(
            count_code_lines(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("*.py")
        ),
    }


def _lines_before_definitions(text: str) -> int:
    """How far down the first constant, class or function stands; all lines of a file without one."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
        if isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" not in ast.unparse(node).split(" =")[0]:
            return node.lineno - 1
    return len(text.splitlines())


def read_imports(sources: dict[Path, str], *, for_types: bool = False) -> dict[str, set[str]]:
    """Which modules each imports, at its top or in a function; `for_types`: also what only a type checker reads."""
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in sources}
    known = set(names.values())
    return {
        names[path]: {
            target if target in known else target.rpartition(".")[0]
            for target in _imported_names(ast.parse(text), package=_package_of(path), for_types=for_types)
            if target in known or target.rpartition(".")[0] in known
        }
        - {names[path]}
        for path, text in sources.items()
    }


def _package_of(path: Path) -> tuple[str, ...]:
    return path.relative_to(ROOT).parent.parts


def _imported_names(tree: ast.AST, *, package: tuple[str, ...], for_types: bool) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*above, *filter(None, (node.module,))))
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif for_types or not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from _imported_names(node, package=package, for_types=for_types)


def _find_circle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _walk_commands() -> dict[str, dict[str, list[str]]]:
    with tempfile.TemporaryDirectory(prefix="toolkit-house-") as name:
        folder = Path(name)
        image = _draw_image(folder / "image.png")
        return {
            verb: _walk_command([str(image) if word == "IMAGE" else word for word in words], folder)
            for verb, words in COMMANDS.items()
        }


def _draw_image(path: Path) -> Path:
    from PIL import Image

    picture = Image.new("L", (28, 28))
    picture.paste(255, (12, 4, 16, 24))
    picture.save(path)
    return path


def _walk_command(words: list[str], folder: Path) -> dict[str, list[str]]:
    report = folder / "walk.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TOOLKIT_ARTIFACTS": str(folder / "artifacts")}
    roots = ":".join(f"{ROOT / name}{os.sep}" for name in PACKAGES)  # an environment may lie beside them
    command = [sys.executable, "-c", WALK, roots, str(report), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    if done.returncode:
        sys.exit(f"toolkit {' '.join(words)} left with {done.returncode}: {done.stderr.strip()}")
    walked: dict[str, list[str]] = json.loads(report.read_text(encoding="utf-8"))
    return {kind: [str(Path(file).relative_to(ROOT)) for file in files] for kind, files in walked.items()}


if __name__ == "__main__":
    main()
