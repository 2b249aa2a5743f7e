"""Whose work a kit carries, and on which terms."""

from __future__ import annotations

__all__ = ["licences_page"]


from exporters.kits import read_licence
from toolkit.card import Card
from toolkit.exporting.kits.values import safe_words

APACHE = "https://www.apache.org/licenses/LICENSE-2.0"
NOTICES = "https://github.com/microsoft/onnxruntime/blob/main/ThirdPartyNotices.txt"


def licences_page(card: Card, kit: str) -> str:
    """Return `LICENSES.md` of a kit: the model, the pictures in its card, the code, and what is bundled."""
    author, licence = safe_words(card.author), safe_words(card.licence)
    parts = ["# Licences", "", f"- **The model** `{safe_words(card.name)}`, by {author}: {licence}."]
    if licence == "NOASSERTION":
        parts[-1] += " NOASSERTION says nothing: ask its author."
    parts += [_data(card), f"- **The code of this kit** was written by onnx-parity-toolkit: Apache-2.0 ({APACHE})."]
    if kit == "web":
        parts.append(
            "- **ONNX Runtime Web** in `ort/`: MIT, below. The WebAssembly file holds code of other projects, "
            f"whose notices are at {NOTICES}."
        )
    if kit == "c":
        parts.append("- `network.c` and `network_data.c` are the model, written out by emx-onnx-cgen (Apache-2.0).")
    bundled = ["", "```", read_licence("onnxruntime").strip(), "```"] if kit == "web" else []
    return "\n".join([*parts, *bundled, ""])


def _data(card: Card) -> str:
    name, licence = (safe_words(str(card.data.get(key) or "unknown")) for key in ("name", "licence"))
    trained = f"- **Trained on** {name}: {licence}."
    if card.golden is None or card.golden.origin != "data":
        return trained
    return f"{trained} The card's golden vectors are pictures of it, under the same licence, unchanged."
