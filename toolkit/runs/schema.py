"""What `config.json` of a run must hold; a file that a user has edited is told so before anything is made of it."""

from __future__ import annotations

__all__ = ["RUN_SCHEMA", "check_description"]

from typing import Any

RUN_SCHEMA = "toolkit/run/1"
Kind = type | tuple[type, ...]
NUMBER = (int, float)
WANTED: dict[str, dict[str, Kind]] = {
    "data": {"name": str, "sha256": str, "licence": str, "train_count": int, "test_count": int},
    "input": {"height": int, "width": int, "channels": int},
    "training": {
        "seed": int,
        "all_data": bool,
        "device": str,
        "precision": str,
        "threads": int,
        "flags": dict,
        "versions": dict,
    },
    "recipe": {"name": str, "network": dict},
    "standardisation": {"std": NUMBER},
}
# Runs of earlier versions lack some of these.
POSSIBLE: dict[str, dict[str, Kind]] = {
    "data": {"source": str},
    "training": {"processes": int, "cycles": list, "keep_every": int, "drift": list, "held_out": str, "fitted": dict},
}
MOST_EPOCHS = 1_000_000


def check_description(value: dict[str, Any]) -> None:
    """Refuse a description in which something is missing or of another kind.

    Args:
        value: `config.json` as read.

    Raises:
        ValueError: names the part, the key, and what is wrong with it.
        TypeError: a part is no table.
    """
    for part, kinds in WANTED.items():
        missing = [key for key in kinds if key not in value[part]]
        if missing:
            raise ValueError(f"{part} lacks {', '.join(missing)}")
        for key, kind in {**kinds, **POSSIBLE.get(part, {})}.items():
            if key in value[part] and not _is_of(value[part][key], kind):
                raise ValueError(f"{part}.{key} is {value[part][key]!r}; expected {_name(kind)}")
    cycles = value["training"].get("cycles", [])
    if not all(_is_of(epochs, int) and 1 <= epochs <= MOST_EPOCHS for epochs in cycles):
        raise ValueError(f"training.cycles is {cycles!r}; expected whole numbers of epochs")
    if len(set(value["classes"])) != len(value["classes"]):
        raise ValueError("its class names repeat")
    if value["recipe"]["network"].get("classes") != len(value["classes"]):
        raise ValueError(f"{len(value['classes'])} class names for another number of classes")


def _is_of(value: object, kind: Kind) -> bool:
    # To Python, true is a whole number.
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _name(kind: Kind) -> str:
    words = {str: "a word", int: "a whole number", bool: "true or false", dict: "a table", list: "a list"}
    return words[kind] if isinstance(kind, type) else "a number"
