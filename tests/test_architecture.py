"""Arrows point down only; rooms, files and functions stay small; nothing prints but the command line."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from house import read_imports, read_sources

ROOT = Path(__file__).resolve().parent.parent
# From the top down; a package may import what stands on the lines below its own, and itself.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"render", "plots"},
    {"api"},
    {"exporting"},
    {"serving"},
    {"evaluation", "parity", "prediction", "bench", "doctor", "tuning", "proving"},
    {"training"},
    {"runtimes"},
    {"runs"},
    {"data"},
    {"containers"},
    {"network", "imaging", "onnx_file"},
    {"card", "artifacts", "environment", "nvidia"},
    {"durable", "intervals"},
    {"holding", "regular_file", "programs"},
    {"errors", "closing", "counts", "plain", "progress", "telling", "exporters"},
]
SOURCES = read_sources()
GRAPH = read_imports(SOURCES, for_types=True)


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
            if module.startswith("exporters") and own != "exporters":
                wrong.append(f"{path.name} imports {module}, which the wheel has as toolkit.exporters")
            if module.startswith("toolkit.exporters") and own != "exporting":
                wrong.append(f"{path.name} imports {module}; only exporting may")
            other = module.split(".")[1] if module.startswith("toolkit.") else own
            if other != own and level_of(own) >= level_of(other):
                wrong.append(f"{path.name} of {own} imports {module}")
    assert wrong == []


def test_a_folder_holds_one_subject() -> None:
    """At most 15 modules; the verbs of the command line are as many as there are."""
    sizes = Counter(path.parent.relative_to(ROOT) for path in SOURCES if path.name != "__init__.py")
    assert not {folder: size for folder, size in sizes.items() if size > 15 and folder.parent != Path("toolkit/cli")}


def test_neighbours_import_each_other_one_way() -> None:
    """Files and folders of one folder, at every level; what only a type checker reads counts, too."""
    levels: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for module, targets in GRAPH.items():
        for target in targets:
            own, other = module.split("."), target.split(".")
            same = next((i for i, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), None)
            if same is not None:  # a package's own face has no level
                levels[".".join(own[:same])][own[same]].add(other[same])
    for neighbours in levels.values():
        TopologicalSorter(neighbours).prepare()


def test_a_small_helper_lies_where_it_is_used() -> None:
    """No module under 60 lines whose only importer lies in another folder."""
    importers = defaultdict(set)
    for module, targets in GRAPH.items():
        for target in targets:
            importers[target].add(module)
    wrong = []
    for path, text in SOURCES.items():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        folders = {module.rpartition(".")[0] for module in importers[name]}
        if text.count("\n") < 60 and len(importers[name]) == 1 and folders != {name.rpartition(".")[0]}:
            wrong.append(name)
    assert wrong == []


def test_parameters_after_the_second_are_given_by_name() -> None:
    wrong = []
    for path in SOURCES:
        if "operators" in path.parts:  # the inputs of an operator, in the standard's order
            continue
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef) and not is_command(node) and node.name != "__exit__":
                names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
                if len([name for name in names if name not in {"self", "cls"}]) > 2:
                    wrong.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert wrong == []


def is_command(node: ast.FunctionDef) -> bool:
    """Whether Typer reads the parameters: they are options."""
    return any("Annotated" in ast.unparse(argument.annotation) for argument in node.args.args if argument.annotation)


def test_a_class_has_a_name_of_its_own() -> None:
    names = Counter(
        node.name
        for path in SOURCES
        for node in parse(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert not {name: count for name, count in names.items() if count > 1}


def test_exporters_know_nothing_of_the_toolkit() -> None:
    for path in (ROOT / "exporters").rglob("*.py"):
        assert not {module for module in imports_of(path) if module.split(".")[0] == "toolkit"}


def test_files_and_functions_stay_small() -> None:
    long = {path.name: lines for path, text in SOURCES.items() if (lines := text.count("\n")) > 300}
    functions = [
        (path, node) for path in SOURCES for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef)
    ]
    for path, node in functions:
        # The arguments of the library's functions, and what is said of them, are its reference page: of these the rest.
        is_face = path.parent.name == "api" and not node.name.startswith("_")
        first = (node.body[0].end_lineno or 0) + 1 if is_face and ast.get_docstring(node) else node.lineno
        if (lines := (node.end_lineno or first) - first + 1) > 50:
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


def test_the_map_names_every_room_and_nothing_else() -> None:
    """`docs/architecture.md`: each folder has its row, each path and each module of a row exists."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert page.count("\n") < 120
    told = {path.rstrip("/") for path in re.findall(r"`([a-z0-9_./]+/[a-z0-9_./]*)`", page)}
    assert not [path for path in told if not exists(path)]
    rows = re.findall(r"^\| (at the top|`[a-z_/`, ]+/`) \| (.*) \|$", page, re.MULTILINE)
    assert not [
        name
        for places, row in rows
        for name in re.findall(r"`([a-z0-9_]+)`", row)
        if not any(exists(f"{folder}{name}") for folder in re.findall(r"`([a-z_/]+)`", places) or [""])
    ]
    rooms = {path.parent.relative_to(ROOT / "toolkit").as_posix() for path in SOURCES if "exporters" not in path.parts}
    assert rooms - {"."} <= told


def exists(path: str) -> bool:
    """Whether a folder or module is there, below `toolkit/` or beside it."""
    return any((ROOT / top / f"{path}{ending}").exists() for top in ("", "toolkit") for ending in ("", ".py"))


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
