"""The web kit's page with a server in the place of a runtime: made in memory, for `toolkit serve`."""

from __future__ import annotations

__all__ = ["make_served_page"]

import html
import json
from pathlib import Path

import toolkit
from toolkit.card import Card
from toolkit.exporters import kits as templates
from toolkit.exporting.kits.doubts import golden_doubts
from toolkit.exporting.kits.values import KitSource, kit_values

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
WHERE = "Its server runs it: the pixels that the model is given are sent there, and nowhere else."


def make_served_page(card: Card, *, name: str, address: str, provider: str) -> dict[str, tuple[bytes, str]]:
    """Return the files of a page by their names, each with its media type.

    Args:
        card: the model's card.
        name: what the page calls the model.
        address: the model's, from the page's own: `v2/models/digits`.
        provider: what runs it there.
    """
    values = kit_values(KitSource(path=Path(f"{name}.onnx"), model=b"", card=card))
    values |= {
        "html_name": html.escape(name),
        "html_where": WHERE,
        "toolkit_version": toolkit.__version__,
        "model_address": address,
        "provider": provider,
    }
    files = {**templates.render_kit("web", values), **templates.render_kit("served", values)}
    page = {path.name: text.encode() for path, text in files.items() if path.suffix in TYPES}
    page["model.card.json"] = card.dumps().encode()
    page["golden_doubts.json"] = json.dumps(golden_doubts(card)).encode()
    return {file: (content, TYPES[Path(file).suffix]) for file, content in page.items()}
