"""A plan of what is fed to a stranger's file: sizes, numbers by what the graph says that they have to be, arrays."""

from __future__ import annotations

__all__ = ["DRAWS", "FeedPlan"]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.runtimes.feed_config import FeedConfig
from toolkit.runtimes.synthetic_inputs.facts import BATCH, SEQUENCE, InputFacts, axes_of, element_type, quote
from toolkit.runtimes.synthetic_inputs.sizes import OpenSizes

SEED = 20_261_125
MADE_CAP_BYTES = 1 << 30
BYTES_AT_MOST = 8
# Where no input has a sequence, a length is at most this.
NO_SEQUENCE = 1
# Of a sparse call so many numbers are not zero. A call of nothing but zeros, or ones, would be one at which a
# normalisation divides rounding by rounding: engines part there and none of them is wrong.
FILLED = 1 / 4
DrawNumbers = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]
DRAWS: dict[str, DrawNumbers] = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "uniform": lambda generator, shape: generator.random(shape),
    "wide": lambda generator, shape: generator.standard_normal(shape) * 10,
    "sparse": lambda generator, shape: generator.standard_normal(shape) * (generator.random(shape) < FILLED),
    "small": lambda generator, shape: generator.standard_normal(shape) / 100,
}
# Where a graph names no strings: some that it can turn into numbers, too.
WORDS = ("0", "1", "2", "3")
# Of a range's half, what one unit of a draw stands for: most normal numbers lie inside, many wide ones at the ends.
UNIT = {"normal": 1 / 3, "wide": 1 / 10, "sparse": 1 / 3, "small": 1 / 3}


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
            UsageError: an input is neither of numbers nor of strings, or over 1 GB.
        """
        generator = np.random.default_rng([SEED, self.batch if batch is None else batch])
        longest = self._longest()
        return {
            item.name: self._make(item, draw, generator=generator, batch=batch, longest=longest) for item in self.facts
        }

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
        self, item: InputFacts, draw: str, *, generator: np.random.Generator, batch: int | None, longest: int
    ) -> NDArray[Any]:
        shape = self._shape(item.name, batch)
        if math.prod(shape) * BYTES_AT_MOST > MADE_CAP_BYTES:
            raise UsageError(f"input {item.name!r} of {list(shape)} is larger than {MADE_CAP_BYTES >> 30} GB")
        numbers = self.config.values.get(item.name) or ((self.numbers[item.name],) if item.name in self.numbers else ())
        if len(numbers) > 1:
            return np.array(numbers).astype(element_type(item)).reshape(shape)
        if numbers:
            return np.full(shape, numbers[0]).astype(element_type(item))
        return _draw(item, shape, draw=draw, generator=generator, longest=longest)

    def _shape(self, name: str, batch: int | None) -> tuple[int, ...]:
        if name in self.config.shapes:
            return self.config.shapes[name]
        item = next(item for item in self.facts if item.name == name)
        return tuple(self._size(name, index, size=axis.size, batch=batch) for index, axis in enumerate(axes_of(item)))

    def _size(self, name: str, index: int, *, size: int | None, batch: int | None) -> int:
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


def _is_float(dtype: np.dtype[Any]) -> bool:
    return "float" in dtype.name


def _draw(
    facts: InputFacts, shape: tuple[int, ...], *, draw: str, generator: np.random.Generator, longest: int
) -> NDArray[Any]:
    """Return numbers, or strings, for one input.

    Strings, indices, lengths, masks and the like are drawn alike by every draw.

    Args:
        facts: what they have to be.
        shape: of the array.
        draw: a key of `DRAWS`.
        generator: where chance comes from.
        longest: what a length may be at most.

    Raises:
        UsageError: the input is neither of numbers nor of strings.
    """
    dtype, (role, low, high, choices, words) = element_type(facts), facts.need
    if role == "mask":
        return _mask(generator, shape).astype(dtype)
    if role == "length":
        return _whole(generator, shape, low=1, high=longest, first=longest).astype(dtype)
    if role in {"index", "number"}:
        return _whole(generator, shape, low=int(low), high=int(high)).astype(dtype)
    if role == "pick" or dtype.kind == "U":
        return generator.choice(np.array(choices or words or WORDS), shape).astype(dtype)
    if role == "range":
        numbers = _within(low, high, numbers=DRAWS[draw](generator, shape), draw=draw)
        return (numbers if _is_float(dtype) else np.rint(np.clip(numbers, *_limits(dtype)))).astype(dtype)
    return _free(dtype, shape, draw=draw, generator=generator)


def _free(dtype: np.dtype[Any], shape: tuple[int, ...], *, draw: str, generator: np.random.Generator) -> NDArray[Any]:
    """Draw floats; whole numbers of 8 bits in all their range, wider ones 0 or 1, valid indices nearly everywhere."""
    if _is_float(dtype):
        return DRAWS[draw](generator, shape).astype(dtype)
    if dtype.kind not in "iu" or dtype.itemsize > 1:
        return generator.integers(0, 2, shape).astype(dtype)
    numbers = generator.integers(*_limits(dtype), shape, endpoint=True)
    return (numbers * (generator.random(shape) < FILLED) if draw == "sparse" else numbers).astype(dtype)


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    limits = (0, 1) if dtype.kind not in "iu" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return int(limits[0]), int(limits[1])


def _within(low: float, high: float, *, numbers: NDArray[np.float64], draw: str) -> NDArray[np.float64]:
    """Move drawn numbers into the range that is asked for."""
    if draw == "uniform":
        return low + (high - low) * numbers
    return np.clip((low + high) / 2 + (high - low) / 2 * UNIT[draw] * numbers, low, high)


def _whole(
    generator: np.random.Generator, shape: tuple[int, ...], *, low: int, high: int, first: int | None = None
) -> NDArray[np.int64]:
    numbers = np.asarray(generator.integers(low, max(low, high), shape, endpoint=True))
    if first is not None and numbers.size:
        numbers.reshape(-1)[0] = first  # a view: one row is as long as the sequence, which some graphs rely on
    return numbers


def _mask(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return rows of ones and then zeros, as padding leaves them; the first row is all ones, none is all zeros."""
    if not shape or not np.prod(shape):
        return np.ones(shape, np.int64)
    lengths = _whole(generator, (int(np.prod(shape[:-1])),), low=1, high=shape[-1], first=shape[-1])
    mask = np.arange(shape[-1]) < lengths[:, None]
    return mask.reshape(shape).astype(np.int64)
