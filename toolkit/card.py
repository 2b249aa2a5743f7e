"""The card: what a model file says about itself, as JSON both ways."""

from __future__ import annotations

__all__ = ["BYTE_BITS", "CARD_KEY", "CARD_SCHEMA", "DEPTHS", "Card", "Golden", "InputSpec", "card_beside", "read_card"]

import base64
import binascii
import json
import math
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import ModelError
from toolkit.plain import to_plain

CARD_KEY = "toolkit.card"
CARD_SCHEMA = "toolkit/card/1"
FILE_PRECISIONS = ("fp32", "fp16", "bf16", "int8")
BYTE_BITS = 8
# Bits that a picture's numbers may have.
DEPTHS = (BYTE_BITS, 10, 12, 14, 16)
_TEXTS = ("name", "precision", "checkpoint_sha256", "author", "licence")
_OBJECTS = ("standardisation", "network", "recipe", "data", "bound", "guard", "minimum", "versions")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What one image must look like.

    Attributes:
        height: rows, in pixels.
        width: columns, in pixels.
        channels: 1 (grey, `[batch, height, width]`) or 3 (RGB, `[batch, height, width, 3]`).
        polarity: `light-on-dark`, `dark-on-light` or `any`.
        fit: how a picture of another size is brought to this one: `mnist`, `stretch` or `none`.
        bits: depth of the numbers that the training pictures had: 10 to 16 where they were wider than bytes.
    """

    height: int
    width: int
    channels: int
    polarity: str = "any"
    fit: str = "stretch"
    bits: int = BYTE_BITS

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or max(self.height, self.width) > 65_535 or self.channels not in {1, 3}:
            raise ModelError(
                f"the card's input is {self.height}x{self.width}x{self.channels}; "
                "expected positive sizes and 1 or 3 channels"
            )
        if self.bits not in DEPTHS:
            raise ModelError(f"the card's input has {self.bits} bits; expected one of {', '.join(map(str, DEPTHS))}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image: `(height, width)` or `(height, width, 3)`."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)

    @property
    def known_bits(self) -> int | None:
        """The depth that numbers wider than bytes are taken for where it holds them; None: each set tells its own."""
        return self.bits if self.bits > BYTE_BITS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """Images with their reference answers, for a self-test anywhere.

    Attributes:
        origin: `data` or `synthetic`.
        split: of `data`, what the images were to the training: `validation` or, of a run that was trained on all data,
            `training`; None in cards that earlier versions wrote.
        images: raw uint8 pixels, all images one after the other.
        shape: `[count, height, width]` or `[count, height, width, 3]`.
        logits: float64 reference logits, `[count][classes]`.
        tolerance: largest absolute logit error that rounding explains.
    """

    origin: str
    split: str | None = None
    images: bytes
    shape: tuple[int, ...]
    logits: tuple[tuple[float, ...], ...]
    tolerance: float

    def __post_init__(self) -> None:
        if len(self.images) != math.prod(self.shape) or len(self.logits) != self.shape[0]:
            raise ModelError(
                f"the card's golden vectors hold {len(self.images)} bytes and {len(self.logits)} answers; "
                f"shape {list(self.shape)} needs {math.prod(self.shape)} and {self.shape[0]}"
            )
        if not self.logits:
            raise ModelError("the card's golden vectors hold no image; expected at least one")
        if not 0 < self.tolerance < math.inf or not all(math.isfinite(value) for row in self.logits for value in row):
            raise ModelError(
                "the card's golden vectors hold a tolerance that is not positive or an answer that is not finite"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything a model file says about itself; deterministic for a checkpoint. Keys as in the contract.

    Attributes:
        name: the model's name.
        classes: one name per class, in the order of the logits, kept in Unicode's NFC.
        input: what one image must look like.
        standardisation: summary of what the graph does to raw pixels: `mean`, `std`, `computed_on`.
        precision: `fp32`, `fp16` or `int8`.
        network: preset, every hyper-parameter, parameter count.
        recipe: how it was trained.
        data: `name`, `sha256`, `train_count`, `test_count`, `licence`; `empty_classes`, where classes had no training
            image.
        checkpoint_sha256: hash of the weights it came from.
        derived_from_sha256: hash of the file a derived precision came from, else None.
        test_accuracy: `value`, `correct`, `count`, `ci95` of this file.
        bound: `logits` (largest absolute error rounding explains) and `formula`.
        guard: thresholds of the input guard, and of its `calibration` the `split`, the `images` and how many of them it
            doubts; empty where none were calibrated.
        golden: images with reference answers, or None.
        minimum: least `opset`, `ir`, `onnxruntime` needed.
        versions: what made it.
        author: who trained it.
        licence: SPDX identifier of the model file.
    """

    name: str
    classes: tuple[str, ...]
    input: InputSpec
    standardisation: dict[str, Any]
    precision: str
    network: dict[str, Any]
    recipe: dict[str, Any]
    data: dict[str, Any]
    checkpoint_sha256: str
    derived_from_sha256: str | None = None
    test_accuracy: dict[str, Any] | None = None
    bound: dict[str, Any]
    guard: dict[str, Any] = field(default_factory=dict)
    golden: Golden | None = None
    minimum: dict[str, Any]
    versions: dict[str, str]
    author: str
    licence: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(unicodedata.normalize("NFC", name) for name in self.classes))
        if len(set(self.classes)) != len(self.classes):
            raise ModelError("the card's class names repeat; expected one of its own for each class")
        for key in _TEXTS:
            if not isinstance(getattr(self, key), str):
                raise ModelError(f"the card's {key!r} is {_kind(getattr(self, key))}; expected text")
        for key in _OBJECTS:
            if not isinstance(getattr(self, key), dict):
                raise ModelError(f"the card's {key!r} is {_kind(getattr(self, key))}; expected an object")
        if self.precision not in FILE_PRECISIONS:
            raise ModelError(
                f"the card's precision is {self.precision!r}; expected one of {', '.join(FILE_PRECISIONS)}"
            )
        largest = self.bound.get("logits")
        if largest is not None and not (_is_number(largest) and 0 < largest < math.inf):
            raise ModelError(f"the card's bound is {largest!r}; expected a number over 0")
        if self.test_accuracy is not None:
            _check_accuracy(self.test_accuracy)

    def to_json(self) -> dict[str, Any]:
        """Return the card as plain JSON values, `schema` first."""
        value = {"schema": CARD_SCHEMA, **to_plain(self)}
        if self.input.bits == BYTE_BITS:  # as before there were others: the same model is the same file
            del value["input"]["bits"]
        if self.golden is not None:
            value["golden"]["images"] = base64.b64encode(self.golden.images).decode("ascii")
            if self.golden.split is None:  # as in cards that earlier versions wrote
                del value["golden"]["split"]
        return value

    def dumps(self) -> str:
        """Return compact JSON text; the same card always gives the same text."""
        return json.dumps(self.to_json(), separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def loads(cls, text: str | bytes) -> Card:
        """Parse and check a card.

        Raises:
            ModelError: not JSON, another schema, missing or unknown keys, or values out of range.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"the model's card is not JSON: {error}") from error
        if not isinstance(value, dict) or value.get("schema") != CARD_SCHEMA:
            seen = value.get("schema") if isinstance(value, dict) else type(value).__name__
            raise ModelError(f"the model's card has schema {seen!r}; expected {CARD_SCHEMA!r}")
        try:
            return cls._from_json({key: item for key, item in value.items() if key != "schema"})
        except (TypeError, KeyError, ValueError, AttributeError, binascii.Error) as error:
            raise ModelError(f"the model's card does not follow {CARD_SCHEMA}: {error}") from error

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> Card:
        value["classes"] = tuple(str(name) for name in value["classes"])
        if not value["classes"]:
            raise ModelError("the model's card names no classes")
        value["input"] = InputSpec(**value["input"])
        golden = value.get("golden")
        if golden is not None:
            value["golden"] = Golden(
                origin=str(golden["origin"]),
                split=None if golden.get("split") is None else str(golden["split"]),
                images=base64.b64decode(golden["images"], validate=True),
                shape=tuple(int(size) for size in golden["shape"]),
                logits=tuple(tuple(float(item) for item in row) for row in golden["logits"]),
                tolerance=float(golden["tolerance"]),
            )
        return cls(**value)


def card_beside(model: Path) -> Path:
    """Return the path of the card that lies beside a model: `<name>.card.json`."""
    return model.with_suffix(".card.json")


def read_card(metadata: dict[str, str], *, name: str) -> Card:
    """Return the card that a model carries.

    Raises:
        ModelError: there is none, or it does not follow its schema.
    """
    if CARD_KEY not in metadata:
        raise ModelError(
            f"{name} carries no {CARD_KEY!r}, so its classes and input are unknown; "
            "make a model that does with: toolkit export (a module of your own: toolkit.export(module, classes=[...]))"
        )
    return Card.loads(metadata[CARD_KEY])


def _check_accuracy(value: Any) -> None:
    if isinstance(value, dict):
        interval = value.get("ci95")
        numbers = [value.get(key) for key in ("value", "correct", "count")]
        if isinstance(interval, list | tuple) and len(interval) == 2 and all(map(_is_number, [*numbers, *interval])):
            return
    raise ModelError("the card's test accuracy is incomplete; expected the numbers value, correct, count and ci95")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kind(value: object) -> str:
    return f"of type {type(value).__name__}"
