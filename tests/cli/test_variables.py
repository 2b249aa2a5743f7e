from __future__ import annotations

import ast
import re
from pathlib import Path

from toolkit.cli.help_page import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
TOUCHES_THE_ENVIRONMENT = re.compile(r"\benviron\b|getenv|envvar|user_folder")
# Given to child processes and engines, never read.
ONLY_SET = {"TMPDIR", "PYTHONSAFEPATH", "CACHEDB", "DEV", "ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"}
# Words that look like one.
NO_VARIABLES = {"CPU", "GPU", "ONNX", "NOASSERTION", "POSIX", "NONE", "NVRTC", "SC_PAGE_SIZE", "SC_PHYS_PAGES"} | {
    "M_MMAP_MAX",
    "M_TRIM_THRESHOLD",
}


def test_every_variable_that_the_code_reads_is_told() -> None:
    texts = [
        text for text in map(Path.read_text, (ROOT / "toolkit").rglob("*.py")) if TOUCHES_THE_ENVIRONMENT.search(text)
    ]
    seen = {word for text in texts for word in _capitals(ast.parse(text))} - ONLY_SET - NO_VARIABLES
    page = (ROOT / "docs" / "reference" / "variables.md").read_text()
    assert seen == {*VARIABLES, *re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)}


def _capitals(tree: ast.Module) -> set[str]:
    """Return the texts in capitals, but for names of the module's own in its `__all__`."""
    own = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {word for word in words if re.fullmatch(r"[A-Z][A-Z0-9_]+", word)} - own
