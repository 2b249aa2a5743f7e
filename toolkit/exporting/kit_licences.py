"""Whose work a kit carries, and on which terms."""

from __future__ import annotations

__all__ = ["licences_page"]

from typing import TYPE_CHECKING

from toolkit.exporting.kit_values import safe_words

if TYPE_CHECKING:
    from toolkit.card import Card

APACHE = "https://www.apache.org/licenses/LICENSE-2.0"
NOTICES = "https://github.com/microsoft/onnxruntime/blob/main/ThirdPartyNotices.txt"
# The licence of ONNX Runtime (github.com/microsoft/onnxruntime/blob/main/LICENSE).
MIT = """MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE."""


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
    return "\n".join([*parts, *(["", "```", MIT, "```"] if kit == "web" else []), ""])


def _data(card: Card) -> str:
    name, licence = (safe_words(str(card.data.get(key) or "unknown")) for key in ("name", "licence"))
    trained = f"- **Trained on** {name}: {licence}."
    if card.golden is None or card.golden.origin != "data":
        return trained
    return f"{trained} The card's golden vectors are pictures of it, under the same licence, unchanged."
