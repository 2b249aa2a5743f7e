"""The reader of documents sees what a person would; links of the repository's own pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import blocks_of, commands_in, given_by, links_of, problem_with, slugs_of

from toolkit.cli.app import VERBS

ROOT = Path(__file__).parents[2]
NAMES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "artifacts/README.md")
DOCUMENTS = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").rglob("*.md"))]
PAGE = """
<!-- given: model digits -->
<!-- parse only: needs a GPU -->
```console
$ toolkit bench \\
    --provider cuda
a row
```
# A heading
<!-- setup
toolkit data info mnist-mini
-->
```python
1
```
"""


def test_blocks_come_with_their_marks_and_a_console_is_taken_apart(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    console, hidden, python = blocks_of(path)
    assert given_by(path) == ["model", "digits"]
    assert (console.kind, console.marks) == ("console", {"parse only": "needs a GPU", "given": "model digits"})
    assert console.script == "toolkit bench \\\n    --provider cuda"
    assert console.output == ["a row"]
    assert (hidden.kind, hidden.text) == ("shell", "toolkit data info mnist-mini")
    assert (python.kind, python.marks) == ("python", {})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("toolkit train --recipe best", ""),
        ("toolkit trian", "there is no command trian"),
        ("A=b toolkit train --recipy best", "there is no option --recipy"),
        ("torchrun --nproc-per-node 2 -m toolkit train --epoch 3", "there is no option --epoch"),
        ("find . | toolkit predict - --outptu x.csv > log", "there is no option --outptu"),
        ("- run: toolkit bench --streams two", "--streams is 'two'"),
        ("toolkit compare old.json", "the argument new is missing"),
        ("toolkit data fetch mnist && toolkit runs --all", "there is no option --all"),
    ],
)
def test_a_command_line_that_would_be_refused_is_found(line: str, problem: str) -> None:
    found = [problem_with(words) for words in commands_in(line)]
    assert found
    assert problem in found[-1]
    assert bool(problem) == bool(found[-1])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_a_file_and_a_heading(path: Path) -> None:
    for link in links_of(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if re.match(r"\w+:", link) or is_made(target):
            continue
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix == ".md" and "<!-- made:" not in target.read_text():
            assert anchor in slugs_of(target), f"{link}: no such heading"


def is_made(target: Path) -> bool:
    """Tell whether a page comes to be when the site is built: a verb's, a notebook's."""
    if target.parent == ROOT / "docs" / "reference" / "commands":
        return target.stem in VERBS
    return target.parent == ROOT / "docs" / "tutorial" and target.with_suffix(".ipynb").exists()
