"""Every hostile or broken file by name, how it is written, and the command lines that meet it."""

from __future__ import annotations

__all__ = ["CASES", "COMMANDS", "command_line", "write_case"]

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from hostile_cards import CARDS, INTERFACES, Change, put_card, read
from hostile_files import FLIPPED, NOT_MODELS, Writer
from hostile_graphs import GRAPHS, Maker
from PIL import Image

COMMANDS = ("inspect", "selftest", "predict", "parity", "bench")
# The shortest measurement: what is asked is whether the command survives.
SETTINGS = {
    "parity": ["--runtime", "ort", "--threads", "1", "--optimisation", "all", "--sample", "20", "--data", "mnist-mini"],
    "bench": ["--seconds", "0.1", "--batch", "1"],
}


def write_case(name: str, good: bytes, path: Path) -> None:
    """Write one of `CASES` to a path beside which links may be made."""
    (path.parent / "link").symlink_to("/etc/passwd")
    CASES[name](path, good)


def command_line(command: str, model: Path, folder: Path) -> list[str]:
    """Return the words of a command."""
    images = []
    if command == "predict":
        images = [str(folder / "digit.png")]
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(images[0])
    return [sys.executable, "-m", "toolkit", command, str(model), *images, *SETTINGS.get(command, [])]


def _changing(change: Change) -> Writer:
    def write(path: Path, good: bytes) -> None:
        model = onnx.ModelProto.FromString(good)
        change(model)
        # What protobuf refuses to write as text is put in as bytes.
        path.write_bytes(model.SerializeToString().replace(b"@" * 40, b"\xff" * 40))

    return write


def _making(make: Maker) -> Writer:
    def write(path: Path, good: bytes) -> None:
        import json

        model = make()
        put_card(model, json.dumps(read(onnx.ModelProto.FromString(good))))
        path.write_bytes(model.SerializeToString())

    return write


def _named(prefix: str, cases: dict[str, Writer]) -> dict[str, Writer]:
    return {f"{prefix}: {name}": case for name, case in cases.items()}


CASES: dict[str, Callable[[Path, bytes], object]] = {
    **_named("file", {**NOT_MODELS, **FLIPPED}),
    **_named("graph", {name: _making(make) for name, make in GRAPHS.items()}),
    **_named("interface", {name: _changing(change) for name, change in INTERFACES.items()}),
    **_named("card", {name: _changing(change) for name, change in CARDS.items()}),
}
