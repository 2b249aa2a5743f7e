"""The converters have one more name: that of the wheel."""

from __future__ import annotations

import ast
from pathlib import Path

import exporters
from toolkit import exporters as in_the_wheel


def test_both_names_have_the_same_public_parts() -> None:
    assert set(in_the_wheel.__all__) == {*exporters.__all__, "kits"}
    assert all(getattr(in_the_wheel, name) is getattr(exporters, name) for name in in_the_wheel.__all__)


def test_the_converters_name_themselves_nowhere() -> None:
    for path in Path(exporters.__file__).parent.rglob("*.py"):
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        assert not [node.module for node in nodes if not node.level and str(node.module).startswith("exporters")], path
