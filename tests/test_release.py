"""One version: the package's, the changelog's first heading, the newest tag's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import toolkit

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d|Unreleased)$")


def test_the_changelog_begins_with_the_packages_version_and_tags_are_releases_that_it_has() -> None:
    lines = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    headings = [HEADING.match(line) for line in lines]
    assert None not in headings, lines
    releases = {heading[1]: heading[2] for heading in headings if heading}
    newest, *others = releases
    assert newest == toolkit.__version__
    assert "Unreleased" not in [releases[version] for version in others]
    done = subprocess.run(["git", "tag", "--list", "v*"], cwd=ROOT, capture_output=True, text=True, check=False)
    tags = {tag.removeprefix("v") for tag in done.stdout.split()}
    assert not tags - {version for version, when in releases.items() if when != "Unreleased"}
