"""Every hostile or broken file by name, how it is written, and the command lines that meet it."""

from __future__ import annotations

__all__ = ["CASES", "COMMANDS", "command_line", "expected_codes", "write_case"]

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from hostile_cards import CARDS, INTERFACES, Change, put_card, read
from hostile_files import FLIPPED, NOT_MODELS, Writer
from hostile_graphs import EXTERNAL, GRAPHS, Maker
from PIL import Image

COMMANDS = ("inspect", "selftest", "predict", "parity", "bench")
# A link that leads nowhere: there is no such file.
NOT_THERE = {"file: a link to nothing", "file: a link to itself"}
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

# What an engine may open and run, so that a command has something to say about it, or not.
ANSWER = {0, 1, 4}
# `inspect` describes what can be parsed, `bench` measures whatever an engine opens; they read no card. 2: no input can be
# made for it.
LENIENT = {"inspect": ANSWER, "bench": {*ANSWER, 2}}
# Nothing worse than a stranger's file, which is judged by itself, or not even that; 2: the sample that was asked for is
# for files of ours.
SOUND = {"interface: no card"}

# Graphs that an engine runs, with a card whose interface they have: their answers are wrong, which parity and the
# self-test see; `predict` answers, or has rows without an answer where that is NaN.
RUN_ALL_THE_SAME = {"graph: a split into none", "graph: shapes that depend on the data", "graph: a NaN"}
RUNNING = {"selftest": {1, 4}, "parity": {1, 4}, "predict": {0, 3, 4}}


def expected_codes(name: str, command: str) -> set[int]:
    """Return the exit codes that are right for a command on a case."""
    if name.startswith("file: bit "):
        return ANSWER
    is_external = name.removeprefix("graph: ") in EXTERNAL
    if is_external and command == "inspect":
        return {0}  # named and looked for, never opened
    if name.startswith("file: ") or is_external:
        return {2} if name in NOT_THERE else {4}
    if command in LENIENT:
        return LENIENT[command]
    if name in SOUND:
        return {*ANSWER, 2}
    return RUNNING.get(command, {4}) if name in RUN_ALL_THE_SAME else {4}
