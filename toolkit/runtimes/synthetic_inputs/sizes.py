"""Sizes for what a file leaves open: a first sensible one each, and others to try where that does not run."""

from __future__ import annotations

__all__ = ["Guess", "OpenSizes"]

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from toolkit.runtimes.synthetic_inputs.facts import BATCH, IMAGE, SEQUENCE, Axis, InputFacts, axes_of

# Two show what one hides: a size that was baked in, rows that are mixed up.
OPEN_BATCH = 2
# The smallest of which five halvings leave two, for a pool at the end; then what networks are usually trained on: a
# product behind a Flatten takes one size only.
IMAGES = (64, 32, 224, 28, 96, 112, 128, 160, 192, 227, 256, 299, 320, 416, 48, 512, 640)
SEQUENCES = (16, 64, 128, 512, 1, 1600, 16_000)
NAMES = (
    (BATCH, re.compile(r"batch|^(n|b|bs|bsz)$", re.IGNORECASE)),
    (IMAGE, re.compile(r"height|width|^(h|w|rows|cols|img_?size|image_?size)$", re.IGNORECASE)),
    (
        SEQUENCE,
        re.compile(r"seq|len|time|frame|token|past|step|audio|sample|word|char|num_|point|box|^[tls]$", re.IGNORECASE),
    ),
)
# What exporters write where they have no name; two of them need not be equal.
NO_NAMES = frozenset({"?", "unk", "unknown", "dynamic", "none", "-1", "any", "*"})
SUM = re.compile(r"[\w.]+( *[+-] *[\w.]+)+")
# An image with its channels last has at most so many of them.
MOST_CHANNELS = 4
RANK_OF_STATES, RANK_OF_IMAGES = 3, 4

Place = tuple[str, int]


class Guess(NamedTuple):
    """One size for each kind of axis."""

    batch: int
    image: int
    sequence: int


@dataclass(frozen=True, slots=True)
class OpenSizes:
    """The open sizes of a file's inputs.

    Attributes:
        keys: for each open axis, by input and place, what all axes of the same size share.
        roles: for each key `batch`, `image` or `sequence`.
    """

    keys: Mapping[Place, str]
    roles: Mapping[str, str]

    @classmethod
    def of(cls, facts: tuple[InputFacts, ...]) -> OpenSizes:
        """Find the open sizes of some inputs."""
        places = [(item, index) for item in facts for index, axis in enumerate(axes_of(item)) if axis.size is None]
        keys = {(item.name, index): _key(item, index) for item, index in places}
        roles: dict[str, str] = {}
        for item, index in places:
            # What the graph does with one of the axes holds for all that are called the same.
            key = keys[item.name, index]
            roles[key] = roles.get(key) or _told(axes_of(item)[index]) or ""
        for item, index in places:
            key = keys[item.name, index]
            roles[key] = roles[key] or _usual(axes_of(item), index)
        return cls(keys, roles)

    @property
    def has_batch(self) -> bool:
        """Whether the number of items in a call is open."""
        return BATCH in self.roles.values()

    def guesses(self, batch: int | None) -> Iterator[Guess]:
        """Yield what to try, the most sensible first.

        Args:
            batch: items in a call, where they are known.
        """
        held = set(self.roles.values())
        steps = max(len(IMAGES) if IMAGE in held else 1, len(SEQUENCES) if SEQUENCE in held else 1)
        batches = (OPEN_BATCH, 1) if BATCH in held and batch is None else (batch or 1,)
        for step in range(steps):
            image, sequence = IMAGES[min(step, len(IMAGES) - 1)], SEQUENCES[min(step, len(SEQUENCES) - 1)]
            yield from (Guess(number, image, sequence) for number in batches)

    def sizes(self, guess: Guess, known: Mapping[str, int]) -> dict[str, int]:
        """Return a size for each key.

        Args:
            guess: by role.
            known: sizes that the user's own shapes tell.
        """
        sizes = {key: getattr(guess, role) for key, role in self.roles.items()} | dict(known)
        # Names such as `past_length + length` say themselves how large they are.
        for key in self.roles:
            if key not in known and SUM.fullmatch(key):
                sizes[key] = max(_sum(key, sizes, guess=guess), 1)
        return sizes


def _key(item: InputFacts, index: int) -> str:
    symbols = [axis.symbol for axis in axes_of(item)]
    symbol = symbols[index]
    is_name = symbol and symbol.lower() not in NO_NAMES and symbols.count(symbol) == 1
    return symbol if is_name else f"{item.name}[{index}]"


def _told(axis: Axis) -> str | None:
    """Return what an axis is by its name or by the operator that reads it."""
    named = next((role for role, pattern in NAMES if axis.symbol and pattern.search(axis.symbol)), None)
    return named if named == BATCH else axis.role or named


def _usual(axes: tuple[Axis, ...], index: int) -> str:
    """Return what an axis of which nobody tells is as a rule."""
    sizes = [axis.size for axis in axes]
    if index == 0:
        return BATCH
    if len(axes) == RANK_OF_STATES and index == 1 and sizes[0] is not None and sizes[2] is not None:
        return BATCH  # the state of a recurrent layer: [layers, batch, width]
    if len(axes) == RANK_OF_IMAGES:
        has_channels_last = sizes[3] is not None and sizes[3] <= MOST_CHANNELS
        is_inside = index in ({1, 2} if has_channels_last else {2, 3})
        return IMAGE if is_inside and (has_channels_last or not (index == 2 and sizes[3] is not None)) else SEQUENCE
    # Five are a volume; of more, nobody knows what they are, and 64 in each would be gigabytes.
    return IMAGE if len(axes) == RANK_OF_IMAGES + 1 and index > 1 else SEQUENCE


def _sum(text: str, sizes: Mapping[str, int], *, guess: Guess) -> int:
    total, sign = 0, 1
    for word in re.findall(r"[+-]|[\w.]+", text):
        if word in "+-":
            sign = 1 if word == "+" else -1
        else:
            total += sign * (int(word) if word.isdecimal() else sizes.get(word, guess.sequence))
    return total
