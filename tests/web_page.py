"""A web kit's page in a real browser, and what a person does with it."""

from __future__ import annotations

__all__ = ["Seen", "draw", "drop", "encode_png", "settle", "wait_until_ready"]

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

DROP = """async ([name, type, text]) => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name, { type }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true }));
}"""


class Seen:
    """What a page asked for and complained about."""

    def __init__(self, page: Any, url: str) -> None:
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        page.on(
            "request",
            lambda request: request.url.startswith((url, "data:", "blob:")) or self.foreign.append(request.url),
        )
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))


def wait_until_ready(page: Any) -> None:
    page.wait_for_selector("html[data-ready]", timeout=60_000)


def draw(page: Any, strokes: list[Any]) -> None:
    """Draw strokes with the mouse, given in the pad's own 280 x 280 pixels."""
    box = page.locator("#pad").bounding_box()
    scale = box["width"] / 280
    for stroke in strokes:
        for number, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x * scale, box["y"] + y * scale)
            if number == 0:
                page.mouse.down()
        page.mouse.up()


def settle(page: Any) -> None:
    """Wait for the frame in which a drawing is told, and for the answer to it."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_timeout(100)


def drop(page: Any, name: str, kind: str, data: bytes) -> None:
    page.evaluate(DROP, [name, kind, base64.b64encode(data).decode()])
    page.wait_for_timeout(600)


def encode_png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
