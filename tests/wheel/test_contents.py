"""What the distributions hold: everything that is needed, and nothing else."""

from __future__ import annotations

import re
import subprocess
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from distributed import ROOT, build
from markdown_it import MarkdownIt

import toolkit

pytestmark = pytest.mark.wheel
# What git knows and the wheel does not take: the other name of `exporters/` in the tree.
ONLY_IN_THE_TREE = "toolkit/exporters/"
BESIDE_THE_CODE = {
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "constraints.txt",
    "pyproject.toml",
    ".gitignore",
    "PKG-INFO",
}


@pytest.fixture(scope="module")
def sources() -> set[str]:
    """Every file of the two packages, by its path in the repository."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "toolkit", "exporters"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_holds_the_packages_under_one_name_and_nothing_else(wheel: Path, sources: set[str]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        notes = {name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name}
    wanted = {name for name in sources if not name.startswith(ONLY_IN_THE_TREE)}
    assert names == {re.sub(r"^exporters/", ONLY_IN_THE_TREE, name) for name in wanted}
    licences = {f"licenses/{name}" for name in ("LICENSE", "toolkit/data/mini/ATTRIBUTION.md")}
    assert notes == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", *licences}
    # What is no module is what a packager forgets.
    assert {"toolkit/py.typed", "toolkit/exporters/kits/node/.npmrc", "toolkit/data/mini/ATTRIBUTION.md"} <= names
    assert wheel.stat().st_size < 3_000_000


def test_the_sdist_holds_what_the_wheel_is_built_from(distributions: Path, sources: set[str]) -> None:
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == sources | BESIDE_THE_CODE


def test_the_tree_gives_the_same_wheel_as_the_sdist(wheel: Path, tmp_path: Path) -> None:
    build(tmp_path, "--wheel")
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_version_stands_in_one_place(wheel: Path, metadata: Message) -> None:
    assert metadata["Version"] == toolkit.__version__
    assert wheel.name == f"onnx_parity_toolkit-{toolkit.__version__}-py3-none-any.whl"


def test_no_link_of_the_packages_page_leads_into_the_repository(metadata: Message) -> None:
    page = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    inline = [child for token in tokens for child in token.children or ()]
    addresses = [str(token.attrGet("href") or token.attrGet("src")) for token in inline if token.attrs]
    assert not [address for address in addresses if not address.startswith(("https://", "#"))]
    assert len(page) > 5_000  # the README's words are there
    assert not re.search(r"\((?:guide|how|results)\)", page)
    assert not re.search(r"""(?:src|href)=["'](?!https:|#)""", page)  # pictures as HTML
