"""What a kit's templates are filled with: everything comes from the card and the file."""

from __future__ import annotations

__all__ = ["KitSource", "kit_values", "require_usable_name", "safe_words"]

import html
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.card import Card
from toolkit.counts import count_of
from toolkit.errors import UsageError
from toolkit.exporting.kits.doubts import golden_doubts, guard_values
from toolkit.runtimes.agreement import probability_bound
from toolkit.runtimes.registry import RUNTIMES

# Words that stand in comments, docstrings and Markdown of several languages may hold nothing that ends them.
UNSAFE = re.compile(r"[^\w .,:()+=/-]")
MOST_NAMED_CLASSES = 12
# What names kits by a person's word: symbols, packages and folders are made of it.
MOST_NAME_LETTERS = 64
USABLE_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_.-]{{0,{MOST_NAME_LETTERS - 1}}}")
TRITON_MAX_BATCH = 64
# Bytes of a reason in C; the longest of the guard's sentences has 120.
REASON_SIZE = 160
DOUBT_NOTE = "Answers about what is unlike the training's pictures are doubtful, with the reason."
NO_DOUBT_NOTE = "The model's card has no thresholds (too few training pictures): no answer is ever doubtful."
POLARITY_WORDS = {
    "light-on-dark": "light ink on a dark ground",
    "dark-on-light": "dark ink on a light ground",
    "any": "as the picture is",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KitSource:
    """A model that kits are made of.

    Attributes:
        path: the file.
        model: its bytes.
        card: what it says about itself.
        given_name: what its kits are called, one that `require_usable_name` takes; None: as the data set.
    """

    path: Path
    model: bytes
    card: Card
    given_name: str | None = None

    @property
    def stem(self) -> str:
        """What the kits' folders are called after: the name that was given, else the file's without its ending."""
        return self.given_name or self.path.name.removesuffix(".onnx")

    @property
    def stable_name(self) -> str:
        """What an app that embeds the model calls it: the next training's kits are called so, too."""
        return self.given_name or str(self.card.data.get("name") or self.card.name or "model")

    @property
    def identifier(self) -> str:
        """The stable name as an identifier of any language: lower-case letters, digits, underscores.

        Nothing is called by it alone, so that no reserved word and no standard module is in its way: files and packages
        are `<identifier>_classifier`, functions `<identifier>_classify`.
        """
        name = re.sub(r"[^a-z0-9]+", "_", self.stable_name.lower()).strip("_")[:MOST_NAME_LETTERS].strip("_") or "model"
        return f"model_{name}" if name[0].isdigit() else name

    @property
    def package(self) -> str:
        """What the package of Python, the headers of C and C++ and the namespace are called."""
        return f"{self.identifier}_classifier"


def require_usable_name(name: str) -> None:
    """Refuse a name of which no symbol and no package can be made.

    Raises:
        UsageError: says which can.
    """
    if not USABLE_NAME.fullmatch(name):
        raise UsageError(
            f"kits cannot be called {name!r}, after which symbols and packages are named; expected a letter, then "
            f"letters, digits, '_', '-' or '.', at most {MOST_NAME_LETTERS} in all, such as digits"
        )


def safe_words(text: str) -> str:
    """Return text without anything that could end a comment, a docstring, a string or a table's cell."""
    return " ".join(UNSAFE.sub("_", text).replace("*/", "_/").replace("//", "/_").split()) or "model"


def kit_values(source: KitSource, *, uses_webgpu: bool = False) -> dict[str, str]:
    """Return every value that a template may name, as text."""
    card, spec = source.card, source.card.input
    is_grey = spec.channels == 1
    return {
        "name": safe_words(source.stable_name),
        "model_name": safe_words(card.name),
        "summary": _summarise(card),
        "html_name": html.escape(source.stable_name),
        "html_where": "It runs in your browser: no picture leaves this page.",
        "html_summary": html.escape(_summarise(card)),
        "package_name": f"{source.identifier.replace('_', '-')}-classifier",
        "python_name": source.package,
        # Another training is another version: pip and people see which one is installed.
        "python_version": f"1.0.0+{re.sub('[^0-9a-f]', '', source.card.checkpoint_sha256)[:8] or 0}",
        "height": str(spec.height),
        "width": str(spec.width),
        "channels": str(spec.channels),
        "channel_axis": "" if is_grey else f", {spec.channels}",
        "channels_words": "one byte a pixel" if is_grey else "red, green and blue of each pixel one after the other",
        "polarity_words": POLARITY_WORDS.get(spec.polarity, safe_words(spec.polarity)),
        "classes_count": str(len(card.classes)),
        "doubt_note": DOUBT_NOTE if card.guard else NO_DOUBT_NOTE,
        "licence_note": "What is bundled is licensed as `LICENSES.md` says.",
        **_c_values(source),
        **_golden_values(card),
        **guard_values(card),
        "reason_size": str(REASON_SIZE),
        **_web_values(uses_webgpu=uses_webgpu),
        "triton_name": source.identifier,
        "triton_max_batch": str(TRITON_MAX_BATCH),
        "triton_input_dims": ", ".join(map(str, spec.shape)),
        "triton_kind": "CPU",
        "pillow_mode": "L" if is_grey else "RGB",
    }


def _summarise(card: Card) -> str:
    spec = card.input
    names = [safe_words(name) for name in card.classes[:MOST_NAMED_CLASSES]]
    more = f" and {len(card.classes) - len(names)} more" if len(card.classes) > len(names) else ""
    colour = "grey" if spec.channels == 1 else "RGB"
    right = card.test_accuracy
    accuracy = f" {right['correct']:,} of {count_of(right['count'], 'test picture')} right." if right else ""
    return (
        f"Pictures of {spec.width} x {spec.height} pixels, {colour}, in {len(card.classes)} classes: "
        f"{', '.join(names)}{more}.{accuracy}"
    )


def _c_values(source: KitSource) -> dict[str, str]:
    card, spec = source.card, source.card.input
    is_grey = spec.channels == 1
    return {
        "c_name": source.identifier,
        "c_macro": source.identifier.upper(),
        "c_classes": "\n".join(f"    {_c_string(name)}," for name in card.classes),
        "c_image_dims": "".join(f"[{size}]" for size in spec.shape),
        "c_pixels": str(math.prod(spec.shape)),
        "cpp_shape": ", ".join(map(str, spec.shape)),
        "cpp_rank": str(1 + len(spec.shape)),
        "pillow_mode": "L" if is_grey else "RGB",
        "pnm": "pgm" if is_grey else "ppm",
        "pnm_kind": "PGM" if is_grey else "PPM",
        "pnm_magic": "5" if is_grey else "6",
    }


def _golden_values(card: Card) -> dict[str, str]:
    """Return the golden vectors as rows of C; without any, one row of zeros, because C has no empty arrays."""
    golden, pixels = card.golden, math.prod(card.input.shape)
    images = np.frombuffer(golden.images if golden else bytes(pixels), np.uint8).reshape(-1, pixels)
    logits = golden.logits if golden else ((0.0,) * len(card.classes),)
    tolerance = golden.tolerance if golden else 0.0
    return {
        "golden_count": str(len(images) if golden else 0),
        "golden_images": "\n".join(f"    {{{', '.join(map(str, image.tolist()))}}}," for image in images),
        "golden_logits": "\n".join(f"    {{{', '.join(f'{value:.17g}' for value in row)}}}," for row in logits),
        "golden_doubts": ", ".join("-1" if doubt is None else str(int(doubt)) for doubt in golden_doubts(card)),
        "golden_tolerance": f"{tolerance:.17g}",
        "golden_probability_tolerance": f"{probability_bound(tolerance):.17g}",
    }


def _c_string(text: str) -> str:
    """Return text as a literal of C and C++: bytes of UTF-8; those that are not plain in octal, three digits each."""
    plain = {byte for byte in range(32, 127) if chr(byte) not in '"\\?'}
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def _web_values(*, uses_webgpu: bool) -> dict[str, str]:
    node, web = (RUNTIMES[name].npm[0].rpartition("@")[2] for name in ("ort-node", "ort-web"))
    return {
        "ort_node_version": node,
        "ort_web_version": web,
        "ort_web_module": "ort.webgpu.min.mjs" if uses_webgpu else "ort.wasm.min.mjs",
        "ort_web_providers": '["webgpu", "wasm"]' if uses_webgpu else '["wasm"]',
        "ort_web_build": "the build with WebGPU and WebAssembly" if uses_webgpu else "the smallest WebAssembly build",
    }
