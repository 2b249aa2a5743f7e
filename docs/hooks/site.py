"""What MkDocs calls: the navigation filled, pages made from the code, from README and notebooks, links out of docs/."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import commands
import library
import notebook
import records
import settings
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from source import ROOT

DOCS = ROOT / "docs"
# Files of the repository that are pages too.
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
# What stands in the place of `<!-- made: NAME -->`.
PARTS: dict[str, Callable[[], str]] = {**commands.PARTS, **library.PARTS, **records.PARTS, **settings.PARTS}
MADE = re.compile(r"<!-- made: (?P<name>[\w-]+) -->")
# A block that begins with a prompt.
SESSION = re.compile(r"^```(?=\n\$ )", re.MULTILINE)
LINK = re.compile(
    r"(?P<head>!?\[(?P<text>[^\]]*)\]\()(?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)|(?P<src> src=\")(?P<file>[^\":]+)\""
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file holds, and fill the navigation."""
    made: dict[str, str | bytes] = {page: (ROOT / name).read_text() for name, page in PAGES.items()}
    made["index.md"] = f"---\nhide: [navigation]\n---\n{made['index.md']}"  # it would say "Home" and nothing else
    made |= commands.make_pages()
    for path in sorted(DOCS.glob("tutorial/*.ipynb")):
        files.remove(files.src_uris[path.relative_to(DOCS).as_posix()])
        made |= notebook.make_pages(path, folder="tutorial")
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    named = {*_names(config.nav)}
    rest = sorted(file.src_uri for file in files.documentation_pages() if file.src_uri not in named)
    config.nav = _filled(config.nav, rest)
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Put in what is made from the code; a link to a file of the repository that is no page becomes its name."""
    source = next((name for name, uri in PAGES.items() if uri == page.file.src_uri), f"docs/{page.file.src_uri}")
    markdown = SESSION.sub("```console", markdown)
    linked = LINK.sub(_relinker(source, page.file.src_uri), markdown)
    return MADE.sub(lambda mark: PARTS[mark["name"]](), linked)


def _relinker(source: str, uri: str) -> Callable[[re.Match[str]], str]:
    def relink(link: re.Match[str]) -> str:
        path = link["path"] or link["file"]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        page = PAGES.get(target) or (_page_at(target) if target.startswith("docs/") else None)
        if page is None:
            return f"{link['text']} (`{target}`)" if link["path"] else link[0]
        relative = posixpath.relpath(page, posixpath.dirname(uri) or ".")
        return f'{link["src"]}{relative}"' if link["src"] else f"{link['head']}{relative}{link['anchor'] or ''})"

    return relink


def _page_at(target: str) -> str:
    """Return the page at a path of the repository; a folder's is its index, or the first notebook in it."""
    first = next(iter(sorted((ROOT / target).glob("*.ipynb"))), Path("index.ipynb"))
    name = f"{target}/{first.stem}.md" if (ROOT / target).is_dir() else target
    return name.removeprefix("docs/")


def _names(nav: Any) -> Iterator[str]:
    """Yield every entry of the navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from _names(item)


def _filled(nav: Any, rest: list[str]) -> Any:
    """Return the navigation with the pages of a folder in the place of `folder/*`."""
    if isinstance(nav, dict):
        return {title: _filled(item, rest) for title, item in nav.items()}
    if isinstance(nav, list):
        filled = [_filled(item, rest) for item in nav]
        return [entry for item in filled for entry in (item if isinstance(item, list) else [item])]
    if isinstance(nav, str) and nav.endswith("/*"):
        return [name for name in rest if posixpath.dirname(name) == nav.removesuffix("/*")]
    return nav
