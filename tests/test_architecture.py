"""Arrows point down only; files and functions stay small; nothing prints but the command line."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# From the top down; a package may import what stands below it, and itself.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"render", "plots"},
    {"exporting", "evaluation", "parity", "prediction", "bench", "doctor", "tuning"},
    {"training"},
    {"runtimes"},
    {"runs"},
    {"network", "imaging", "data", "onnx_file"},
    {"card", "artifacts", "outputs", "environment", "nvidia"},
    {"durable", "intervals"},
    {"holding", "regular_file", "programs"},
    {"errors", "closing", "plain", "progress"},
]
# `exporting` is the one package that knows both sides; network reads the settings it was trained with from no one;
# `data` decodes and fits image files exactly as a prediction does, of the sizes that the network takes; imaging knows
# nothing of data sets.
ALLOWED_SIDEWAYS = {
    ("exporting", "evaluation"),
    ("card", "errors"),
    ("data", "imaging"),
    ("data", "network"),
}
SOURCES = sorted([*(ROOT / "toolkit").rglob("*.py"), *(ROOT / "exporters").rglob("*.py")])


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "toolkit").parts
    return parts[0].removesuffix(".py")


def level_of(name: str) -> int:
    return next(level for level, names in enumerate(LAYERS) if name in names)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_arrows_point_down() -> None:
    wrong = []
    for path in SOURCES:
        if not path.is_relative_to(ROOT / "toolkit") or path == ROOT / "toolkit" / "__init__.py":
            continue
        own = name_of(path)
        for module in imports_of(path):
            if module.startswith("exporters") and own != "exporting":
                wrong.append(f"{path.name} imports {module}; only exporting may")
            other = module.split(".")[1] if module.startswith("toolkit.") else own
            if other != own and (own, other) not in ALLOWED_SIDEWAYS and level_of(own) >= level_of(other):
                wrong.append(f"{path.name} of {own} imports {module}")
    assert wrong == []


def test_exporters_know_nothing_of_the_toolkit() -> None:
    for path in (ROOT / "exporters").rglob("*.py"):
        assert not {module for module in imports_of(path) if module.split(".")[0] == "toolkit"}


def test_files_and_functions_stay_small() -> None:
    long = {path.name: lines for path in SOURCES if (lines := path.read_text().count("\n")) > 300}
    functions = [
        (path, node) for path in SOURCES for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef)
    ]
    for path, node in functions:
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > 50:
            long[f"{path.name}: {node.name}"] = lines
    assert long == {}


def test_every_file_opens_the_same_way() -> None:
    wrong = []
    for path in SOURCES:
        docstring, rest = ast.get_docstring(parse(path)) or " ", parse(path).body[1:2]
        second = rest[0].module if rest and isinstance(rest[0], ast.ImportFrom) else None
        if docstring.splitlines()[0][-1] not in ".?" or (rest and second != "__future__"):
            wrong.append(path.name)
    assert wrong == []


def test_only_the_command_line_prints() -> None:
    for path in SOURCES:
        if path.is_relative_to(ROOT / "toolkit" / "cli"):
            continue
        calls = [node for node in ast.walk(parse(path)) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path


def test_no_pickle_is_loaded_anywhere() -> None:
    for path in SOURCES:
        assert not imports_of(path) & {"pickle", "cloudpickle", "joblib", "dill"}, path
        assert "torch.load(" not in path.read_text()
        assert "allow_pickle=True" not in path.read_text()
