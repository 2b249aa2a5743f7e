"""A notebook as a page, with the outputs that it holds."""

from __future__ import annotations

__all__ = ["make_pages"]

from pathlib import Path

from nbconvert import MarkdownExporter


def make_pages(path: Path, *, folder: str) -> dict[str, str | bytes]:
    """Return the page of a notebook and its pictures, by their paths in the site."""
    text, resources = MarkdownExporter().from_filename(str(path), resources={"output_files_dir": f"{path.stem}_files"})
    pictures = {f"{folder}/{name}": content for name, content in resources["outputs"].items()}
    return {f"{folder}/{path.stem}.md": text, **pictures}
