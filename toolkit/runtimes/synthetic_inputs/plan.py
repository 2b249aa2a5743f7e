"""Which sizes and numbers a stranger's inputs get, and the arrays that follow."""

from __future__ import annotations

__all__ = ["FeedPlan", "first_plan", "possible_plans"]

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.synthetic_inputs.drawing import draw_input, number_type
from toolkit.runtimes.synthetic_inputs.facts import InputFacts
from toolkit.runtimes.synthetic_inputs.said import check_names, check_shape, check_values, quote, shapes_of_values
from toolkit.runtimes.synthetic_inputs.sizes import BATCH, SEQUENCE, OpenSizes, axes_of

SEED = 20_261_125
MADE_CAP_BYTES = 1 << 30
BYTES_AT_MOST = 8
# Where no input has a sequence, a length is at most this.
NO_SEQUENCE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPlan:
    """What is fed to a stranger's file.

    Attributes:
        facts: what the graph says of each input.
        config: what the user said.
        open_sizes: what the file leaves open.
        sizes: for each open size what it is.
        numbers: for an input that is a setting the one number that it is.
        has_open_batch: whether calls with other numbers of items can be made.
        remark: what a trial showed that is worth telling; empty where nothing is.
    """

    facts: tuple[InputFacts, ...]
    config: FeedConfig
    open_sizes: OpenSizes
    sizes: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    has_open_batch: bool = False
    remark: str = ""

    @property
    def batch(self) -> int:
        """Items in a call: the size of the first axis of batches, of the first axis of all where none is open."""
        for (name, index), key in self.open_sizes.keys.items():
            if self.open_sizes.roles[key] == BATCH:
                return self._shape(name, None)[index]
        firsts = {shape[0] for item in self.facts if (shape := self._shape(item.name, None))}
        return firsts.pop() if len(firsts) == 1 else 1

    @property
    def is_chosen(self) -> bool:
        """Whether anything was chosen that the file and the user leave open."""
        return not (
            self._open_shapes().keys() <= self.config.shapes.keys() and self.numbers.keys() <= self.config.values.keys()
        )

    def make(self, draw: str = "normal", *, batch: int | None = None) -> dict[str, NDArray[Any]]:
        """Return the inputs of one call, the same ones every time.

        Args:
            draw: a key of `DRAWS`.
            batch: items in the call, where that is open; by default as many as were chosen.

        Raises:
            UsageError: an input is not of numbers, or over 1 GB.
        """
        generator = np.random.default_rng([SEED, self.batch if batch is None else batch])
        longest = self._longest()
        return {item.name: self._make(item, draw, generator, batch, longest) for item in self.facts}

    def options(self) -> str:
        """Return sizes and numbers as the options that set them, to be copied and changed."""
        words = [f"--shape {quote(name, shape)}" for name, shape in self._open_shapes().items()]
        words += [f"--value {quote(name, numbers)}" for name, numbers in self.config.values.items()]
        words += [f"--value {quote(name, [number])}" for name, number in self.numbers.items()]
        return " ".join(words)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the `options` that repeat the inputs, and a `remark`."""
        return {"options": self.options(), "remark": self.remark}

    def describe(self) -> str:
        """Return what was chosen in one line; empty where nothing was."""
        words = f"inputs chosen, to copy and change: {self.options()}" if self.is_chosen else ""
        return "; ".join(filter(None, (words, self.remark)))

    def _make(
        self, item: InputFacts, draw: str, generator: np.random.Generator, batch: int | None, longest: int
    ) -> NDArray[Any]:
        shape = self._shape(item.name, batch)
        if math.prod(shape) * BYTES_AT_MOST > MADE_CAP_BYTES:
            raise UsageError(f"input {item.name!r} of {list(shape)} is larger than {MADE_CAP_BYTES >> 30} GB")
        numbers = self.config.values.get(item.name) or ((self.numbers[item.name],) if item.name in self.numbers else ())
        if len(numbers) > 1:
            return np.array(numbers).astype(number_type(item)).reshape(shape)
        if numbers:
            return np.full(shape, numbers[0]).astype(number_type(item))
        return draw_input(item, shape, draw, generator, longest=longest)

    def _shape(self, name: str, batch: int | None) -> tuple[int, ...]:
        if name in self.config.shapes:
            return self.config.shapes[name]
        item = next(item for item in self.facts if item.name == name)
        return tuple(self._size(name, index, axis.size, batch) for index, axis in enumerate(axes_of(item)))

    def _size(self, name: str, index: int, size: int | None, batch: int | None) -> int:
        if size is not None:
            return size
        key = self.open_sizes.keys[name, index]
        is_batch = batch is not None and self.has_open_batch and self.open_sizes.roles[key] == BATCH
        return batch if is_batch and batch is not None else self.sizes[key]

    def _longest(self) -> int:
        """Return the length of the shortest sequence among the inputs."""
        found = [
            self._shape(item.name, None)[index]
            for item in self.facts
            for index, axis in enumerate(axes_of(item))
            if SEQUENCE in {axis.role, self.open_sizes.roles.get(self.open_sizes.keys.get((item.name, index), ""))}
        ]
        return min(found, default=NO_SEQUENCE)

    def _open_shapes(self) -> dict[str, tuple[int, ...]]:
        is_open = [item.name for item in self.facts if any(axis.is_open for axis in axes_of(item))]
        return {name: self._shape(name, None) for name in is_open}


def first_plan(facts: tuple[InputFacts, ...], config: FeedConfig) -> FeedPlan:
    """Return the most sensible plan, untried; raises as `possible_plans`."""
    return next(possible_plans(facts, config))


def possible_plans(facts: tuple[InputFacts, ...], config: FeedConfig) -> Iterator[FeedPlan]:
    """Yield plans for a file's inputs, the most sensible first; what the user said holds in all of them.

    Raises:
        UsageError: the user names an input that is not there, or a shape or number that does not fit.
    """
    check_names(facts, config)
    check_values(facts, config)
    shapes = dict(config.shapes) | shapes_of_values(facts, config)
    for item in facts:
        if item.name in shapes:
            check_shape(item, shapes[item.name])
    config = FeedConfig(shapes=shapes, values=config.values)
    open_sizes = OpenSizes.of(facts)
    known = _known_sizes(open_sizes, shapes)
    batch = next((size for key, size in known.items() if open_sizes.roles[key] == BATCH), None)
    has_open_batch = open_sizes.has_batch and not shapes
    for numbers in _choices(facts, config):
        for guess in open_sizes.guesses(batch):
            yield FeedPlan(
                facts=facts,
                config=config,
                open_sizes=open_sizes,
                sizes=open_sizes.sizes(guess, known),
                numbers=numbers,
                has_open_batch=has_open_batch,
            )


def _known_sizes(open_sizes: OpenSizes, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return the open sizes that the user's shapes tell; the first to name one holds, and one batch is every batch."""
    known: dict[str, int] = {}
    for (name, index), key in open_sizes.keys.items():
        if name in shapes and index < len(shapes[name]):
            known.setdefault(key, shapes[name][index])
    return known


def _choices(facts: tuple[InputFacts, ...], config: FeedConfig) -> Iterator[dict[str, float]]:
    """Yield a number for every input that is a setting, the constants that a graph compares it with in their order."""
    free = {item.name: item.need.choices for item in facts if _is_setting(item) and item.name not in config.values}
    for numbers in itertools.product(*free.values()):
        yield dict(zip(free, numbers, strict=True))


def _is_setting(item: InputFacts) -> bool:
    is_single = item.axes is not None and all(axis.size == 1 for axis in item.axes)
    return item.need.role == "fill" or (item.need.role == "pick" and is_single)
