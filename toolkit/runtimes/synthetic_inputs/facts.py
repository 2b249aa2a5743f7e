"""What a file says of its inputs: types, sizes, what their numbers have to be; what a user says is held against it."""

from __future__ import annotations

__all__ = [
    "BATCH",
    "IMAGE",
    "SEQUENCE",
    "Axis",
    "InputFacts",
    "Need",
    "axes_of",
    "check_given",
    "declared_axis",
    "element_type",
    "facts_of_spec",
    "quote",
    "told_shapes",
]

import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError, suggest
from toolkit.onnx_file.element_types import SMALL_BITS, TensorSpec, find_dtype
from toolkit.runtimes.base import Arrays
from toolkit.runtimes.feed_config import FeedConfig

# The roles of an axis.
BATCH, IMAGE, SEQUENCE = "batch", "image", "sequence"


class Axis(NamedTuple):
    """One axis of an input.

    Attributes:
        size: what is declared, or what the operator that reads it needs; None where neither tells.
        symbol: the declared name of an open size; empty where it has none.
        role: `batch`, `image` or `sequence`; empty where the graph does not tell.
        is_open: whether the file declares no size.
    """

    size: int | None
    symbol: str = ""
    role: str = ""
    is_open: bool = False


class Need(NamedTuple):
    """What the numbers of an input have to be.

    Attributes:
        role: `free` numbers are drawn as they come; `range`, `index` and `number` lie between `low` and `high`; `fill`
            is one number, the first of `choices`; `mask`, `length` and `pick` say what they are; a `word` is text.
        low: least number.
        high: largest number; for `index` the last row of the smallest table.
        choices: for `fill` and `pick` the numbers that it may be, the first of them before the others.
        words: for `word` the strings that it may be; empty where the graph names none.
    """

    role: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[float, ...] = ()
    words: tuple[str, ...] = ()


FREE = Need("free")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What a file says of one of its inputs.

    Attributes:
        name: of the input.
        dtype: NumPy name of the element type, or the format's own word for what NumPy has not.
        axes: from the first to the last; None where not even the rank is declared.
        need: what its numbers have to be.
    """

    name: str
    dtype: str
    axes: tuple[Axis, ...] | None
    need: Need = FREE


def facts_of_spec(spec: TensorSpec) -> InputFacts:
    """Return what an engine tells of an input, where nobody has read the graph."""
    return InputFacts(name=spec.name, dtype=spec.dtype, axes=tuple(map(declared_axis, spec.shape)))


def declared_axis(size: int | str | None) -> Axis:
    """Return an axis as it is declared; a size of 0 or less is what some exporters write for an open one."""
    if isinstance(size, int) and size > 0:
        return Axis(size)
    return Axis(None, size if isinstance(size, str) else "", is_open=True)


def axes_of(item: InputFacts) -> tuple[Axis, ...]:
    """Return an input's axes: a batch of rows where not even their number is known."""
    return (Axis(None, role=BATCH, is_open=True), Axis(None, is_open=True)) if item.axes is None else item.axes


def element_type(facts: InputFacts) -> np.dtype[Any]:
    """Return the NumPy type of an input.

    Raises:
        UsageError: it is neither of numbers nor of strings.
    """
    try:
        dtype = find_dtype(facts.dtype)
    except TypeError as error:
        raise UsageError(
            f"input {facts.name!r} is no tensor ({facts.dtype}), and tensors alone can be fed; export the file with "
            "tensors for inputs"
        ) from error
    if dtype.kind not in "biufU" and dtype.name not in SMALL_BITS:
        raise UsageError(
            f"input {facts.name!r} is of {facts.dtype}, and inputs are made of real numbers and strings only; bring "
            "all inputs with --inputs FILE.npz"
        )
    return dtype


def check_given(inputs: tuple[TensorSpec, ...], given: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays that a user gave, in the order of the inputs.

    Raises:
        UsageError: one is missing, unknown, of another type or shape.
    """
    names = [spec.name for spec in inputs]
    if set(given) != set(names):
        raise UsageError(f"the arrays given are {sorted(given)}; the file's inputs are {sorted(names)}")
    for spec in inputs:
        array = given[spec.name]
        problem = spec.explain_mismatch(array)
        if problem:
            cast = f"; save it with .astype({spec.dtype!r})" if str(array.dtype) != spec.dtype else ""
            raise UsageError(f"the array given for {problem}{cast}")
    return {name: given[name] for name in names}


def told_shapes(facts: tuple[InputFacts, ...], config: FeedConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes that a user tells, in sizes or by giving as many numbers; all that was said is checked.

    Raises:
        UsageError: a name that no input has, a shape or a number that does not fit one.
    """
    _check_names(facts, config)
    _check_values(facts, config)
    shapes = dict(config.shapes) | _shapes_of_values(facts, config)
    for item in facts:
        if item.name in shapes:
            _check_shape(item, shapes[item.name])
    return shapes


def quote(name: str, numbers: Iterable[float]) -> str:
    """Return a name and its numbers as an option takes them, quoted for a shell."""
    words = (str(int(number)) if number % 1 == 0 else repr(float(number)) for number in numbers)
    return shlex.quote(f"{name}={','.join(words)}")


def _check_names(facts: tuple[InputFacts, ...], config: FeedConfig) -> None:
    """Refuse names that no input has, and sizes of one that is a single number.

    Raises:
        UsageError: with the next step.
    """
    names = [item.name for item in facts]
    for option, given in (("--shape", config.shapes), ("--value", config.values)):
        for name in given:
            if name not in names:
                raise UsageError(
                    f"{option} names the input {name!r}{suggest(name, names)}; the inputs are {', '.join(names)}"
                )
    for item in facts:
        if item.axes == () and item.name in config.shapes:
            example = quote(item.name, item.need.choices[:1] or [1])
            raise UsageError(f"input {item.name!r} is one number and has no sizes; give it with --value {example}")


def _check_values(facts: tuple[InputFacts, ...], config: FeedConfig) -> None:
    """Refuse numbers that an input's type cannot hold, which NumPy would cut or turn into others.

    Raises:
        UsageError: with the type; an input is not of numbers.
    """
    for item in facts:
        dtype = element_type(item) if item.name in config.values else None
        strange = [number for number in config.values.get(item.name, ()) if dtype and not _holds(dtype, number)]
        if strange:
            raise UsageError(
                f"--value {quote(item.name, strange[:1])} does not fit the input, which is {item.dtype}; give numbers "
                "that this type has"
            )


def _holds(dtype: np.dtype[Any], number: float) -> bool:
    """Tell whether a type has a number; for a float type, whether it is in range."""
    if dtype.kind == "U":
        return False
    try:
        with np.errstate(all="ignore"):
            cast = np.asarray(number).astype(dtype)
    except OverflowError:  # a whole number of more than 64 bits
        return False
    if "float" in dtype.name:
        return not math.isfinite(number) or bool(np.isfinite(cast))
    return math.isfinite(number) and int(cast) == number


def _shapes_of_values(facts: tuple[InputFacts, ...], config: FeedConfig) -> dict[str, tuple[int, ...]]:
    """Return the shapes of inputs that were given number by number."""
    found = {}
    for item in facts:
        count = len(config.values.get(item.name, ()))
        if count < 2:
            continue
        shape = config.shapes.get(item.name) or _fill_open(item, count)
        if math.prod(shape) != count:
            sizes = list(config.shapes.get(item.name) or _declared(item))
            raise UsageError(
                f"--value {item.name} has {count} numbers, which do not fill {sizes}; give one number for all of it, "
                "or as many as it holds (--shape sets open sizes)"
            )
        found[item.name] = shape
    return found


def _fill_open(item: InputFacts, count: int) -> tuple[int, ...]:
    """Return the shape of so many numbers, where one size at most is open."""
    sizes = [0 if axis.is_open else axis.size or 0 for axis in item.axes or ()]
    if sizes.count(0) == 1:
        rest = math.prod(size for size in sizes if size)
        sizes = [size or max(count // rest, 1) for size in sizes]
    return tuple(sizes)


def _check_shape(item: InputFacts, shape: tuple[int, ...]) -> None:
    """Refuse a shape of another rank than an input's, or with another size where one is declared.

    Raises:
        UsageError: with what is declared.
    """
    if item.axes is None:
        return
    fits = len(shape) == len(item.axes) and all(
        axis.is_open or axis.size == size for axis, size in zip(item.axes, shape, strict=True)
    )
    if not fits:
        raise UsageError(f"--shape {item.name}={list(shape)} does not fit what the file declares, {_declared(item)}")


def _declared(item: InputFacts) -> list[int | str | None]:
    return [axis.symbol or None if axis.is_open else axis.size for axis in axes_of(item)]
