"""Arrows point down only; files and functions stay small; nothing prints but the command line."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# From the top down; a package may import what stands below it, and itself.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"render", "render_parity", "render_bench", "render_doctor", "render_predictions", "render_quickstart"}
    | {
        "render_columns",
        "render_compare",
        "render_export",
        "render_kits",
        "render_report",
        "render_runtimes",
        "render_tune",
        "plots",
        "plots_bench",
        "plots_evaluation",
        "plots_parity",
        "plots_predictions",
        "plots_tune",
    },
    {"exporting", "evaluation", "parity", "prediction", "bench", "doctor", "training"},
    {"runtimes"},
    {"network", "imaging", "data"},
    {"card", "artifacts", "environment", "nvidia"},
    {"durable", "intervals"},
    {"holding"},
    {"errors", "closing", "plain", "progress"},
]
# `exporting` is the one package that knows both sides; network reads the settings it was trained with from no one;
# `data` decodes and fits image files exactly as a prediction does, of the sizes that the network takes; imaging knows nothing of data sets;
# `plots` holds the canvas and the grid that the other pictures are made with.
ALLOWED_SIDEWAYS = {
    ("exporting", "evaluation"),
    ("card", "errors"),
    ("data", "imaging"),
    ("data", "network"),
    ("plots_bench", "plots"),
    ("plots_evaluation", "plots"),
    ("plots_parity", "plots"),
    ("plots_predictions", "plots"),
    ("plots_tune", "plots"),
    ("render_parity", "render_columns"),
}
SOURCES = sorted([*(ROOT / "toolkit").rglob("*.py"), *(ROOT / "exporters").rglob("*.py")])


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "toolkit").parts
    return parts[0].removesuffix(".py")


def level_of(name: str) -> int:
    return next(level for level, names in enumerate(LAYERS) if name in names)


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {item.name for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.is_relative_to(ROOT / "toolkit")], ids=lambda path: path.name
)
def test_arrows_point_down(path: Path) -> None:
    if path == ROOT / "toolkit" / "__init__.py":
        return
    own = name_of(path)
    for module in imports_of(path):
        if module.startswith("exporters"):
            assert own == "exporting", f"{path.name} imports {module}; only exporting may"
        if not module.startswith("toolkit."):
            continue
        other = module.split(".")[1]
        if other == own or (own, other) in ALLOWED_SIDEWAYS:
            continue
        assert level_of(own) < level_of(other), f"{own} imports {other}"


def test_exporters_know_nothing_of_the_toolkit() -> None:
    for path in (ROOT / "exporters").rglob("*.py"):
        assert not {module for module in imports_of(path) if module.split(".")[0] == "toolkit"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 250
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno + 1 <= 50, node.name  # type: ignore[operator]  # parsed from text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_opens_the_same_way(path: Path) -> None:
    tree = ast.parse(path.read_text())
    docstring = ast.get_docstring(tree)
    assert docstring
    assert docstring.splitlines()[0][-1] in ".?"
    if len(tree.body) == 1:
        return
    second = tree.body[1]
    assert isinstance(second, ast.ImportFrom)
    assert second.module == "__future__"


def test_only_the_command_line_prints() -> None:
    for path in SOURCES:
        if path.is_relative_to(ROOT / "toolkit" / "cli"):
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path


def test_no_pickle_is_loaded_anywhere() -> None:
    for path in SOURCES:
        assert not imports_of(path) & {"pickle", "cloudpickle", "joblib", "dill"}, path
        assert "torch.load(" not in path.read_text()
        assert "allow_pickle=True" not in path.read_text()
