"""What a search may vary: fields of the recipe, each with a range or a list of values; needs neither torch nor Optuna.

`batch_size=64,128,256` lists values, words too; `dropout=0.2..0.6` is a range; `learning_rate=1e-4..1e-2:log` one whose
logarithm is searched evenly; `dropout=0.2..0.6/5` stands for five values from end to end.
"""

from __future__ import annotations

__all__ = ["Dimension", "Value", "apply_point", "check_space", "count_grid", "grid_axes", "parse_space"]

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from toolkit.errors import UsageError
from toolkit.training.recipe import Recipe, kind_of, parse_value
from toolkit.training.recipe_catalog import change_recipe

Value: TypeAlias = int | float | str

WHERE = "--space"
RANGE = re.compile(r"(?P<low>.+?)\.\.(?P<high>.+?)(?P<marks>(?::[a-z]+|/\d+)*)")
SYNTAX = "write it as key=1,2,3 or key=low..high, with :log or /5 (points) behind it"
MOST_POINTS = 1000
MOST_GRID_POINTS = 10_000
# Combinations looked at to find one in which a value is possible.
MOST_PROBES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """A field and what it may be.

    Attributes:
        key: field of the recipe or the network.
        kind: `int`, `float` or `str`.
        values: the values listed, or the points of a range; empty for a range without points.
        bounds: lower and upper end of a range, both included, in the field's type; None for a list.
        log: whether the logarithm is searched evenly.
        text: as it was given, without the key.
    """

    key: str
    kind: str
    values: tuple[Value, ...] = ()
    bounds: tuple[float, float] | None = None
    log: bool = False
    text: str = ""

    def __post_init__(self) -> None:
        if len(set(self.values)) != len(self.values):
            raise UsageError(f"{WHERE} {self.key}={self.text}: values repeat: {', '.join(map(str, self.values))}")
        if self.bounds is None:
            return
        low, high = self.bounds
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UsageError(f"{WHERE} {self.key}={self.text}: a range goes from a number to a larger one")
        if self.log and low <= 0:
            raise UsageError(f"{WHERE} {self.key}={self.text}: a logarithmic range begins above 0")

    def describe(self) -> str:
        """Return the same text for the same dimension, however it was written: `0.0001..0.01:log` or `64,128`."""
        if self.values or self.bounds is None:
            return ",".join(map(str, self.values))
        return f"{'..'.join(map(str, self.bounds))}{':log' if self.log else ''}"

    @property
    def samples(self) -> tuple[Value, ...]:
        """Values that stand for all: those listed, or a range's ends."""
        return self.values or self.bounds or ()

    def grid(self) -> tuple[Value, ...]:
        """Return the values that a grid goes through.

        Raises:
            UsageError: a range of numbers without points, or of too many whole numbers.
        """
        if self.values or self.bounds is None:
            return self.values
        low, high = self.bounds
        if self.kind == "float" or self.log or high - low >= MOST_POINTS:
            raise UsageError(
                f"{WHERE} {self.key}={self.text}: a grid needs a number of points; write {self.key}={self.text}/5"
            )
        return tuple(range(int(low), int(high) + 1))


def parse_space(texts: Iterable[str], *, settled: Iterable[str] = ()) -> tuple[Dimension, ...]:
    """Read `key=values` texts.

    Args:
        texts: one for each field.
        settled: fields whose value was given, which therefore cannot vary.

    Raises:
        UsageError: nothing to vary, an unknown field (the nearest is suggested), a field twice or settled, or values
            that are not of the field's type.
    """
    space: dict[str, Dimension] = {}
    for text in texts:
        key, _, values = text.partition("=")
        if not values:
            raise UsageError(f"{WHERE} {text!r} has no values; {SYNTAX}")
        kind_of(key, where=WHERE)
        if key in space or key in set(settled):
            raise UsageError(f"{WHERE}: {key} is given twice; a field is either set or searched, once")
        space[key] = _parse_range(key, values) if ".." in values else _parse_list(key, values)
    if not space:
        raise UsageError(f"nothing to search; name at least one field with {WHERE}: {SYNTAX}")
    return tuple(space.values())


def check_space(space: Sequence[Dimension], recipe: Recipe) -> None:
    """Refuse a space that holds an impossible value: each end and each listed value must fit some others of the space.

    Raises:
        UsageError: what the recipe says of the first such value.
    """
    for dimension in space:
        others = [item for item in space if item is not dimension]
        for value in dimension.samples:
            _check_value(dimension.key, value, others=others, recipe=recipe)


def apply_point(recipe: Recipe, point: Mapping[str, Value]) -> Recipe:
    """Return the recipe with a point's values, under its own name: a report says beside it which they are.

    Raises:
        UsageError: they are out of range, alone or together.
    """
    changed = change_recipe(recipe, [f"{key}={value}" for key, value in point.items()])
    return replace(changed, name=recipe.name, base=recipe.base)


def grid_axes(space: Sequence[Dimension]) -> dict[str, tuple[Value, ...]]:
    """Return each field's values.

    Raises:
        UsageError: a range has no points.
    """
    return {dimension.key: dimension.grid() for dimension in space}


def count_grid(space: Sequence[Dimension]) -> int:
    """Return the number of combinations.

    Raises:
        UsageError: a range has no points, or there are more than 10,000 combinations.
    """
    count = math.prod(map(len, grid_axes(space).values()))
    if count > MOST_GRID_POINTS:
        raise UsageError(f"the grid has {count:,} points; expected at most {MOST_GRID_POINTS:,}: use --search tpe")
    return count


def _parse_list(key: str, text: str) -> Dimension:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{WHERE} {key}={text}: a value is missing; {SYNTAX}")
    values = tuple(parse_value(key, part, where=WHERE) for part in parts)
    return Dimension(key=key, kind=kind_of(key, where=WHERE), values=values, text=text)


def _parse_range(key: str, text: str) -> Dimension:
    match, kind = RANGE.fullmatch(text), kind_of(key, where=WHERE)
    if match is None or kind == "str":
        raise UsageError(f"{WHERE} {key}={text} is no range of numbers; {SYNTAX}")
    low, high = (parse_value(key, match[end].strip(), where=WHERE) for end in ("low", "high"))
    assert not isinstance(low, str)
    assert not isinstance(high, str)
    marks = [mark for mark in re.split(r"(?=[:/])", match["marks"]) if mark]
    points = [int(mark[1:]) for mark in marks if mark.startswith("/")]
    words = [mark for mark in marks if mark.startswith(":")]
    if len(points) > 1 or words not in ([], [":log"]) or not all(2 <= count <= MOST_POINTS for count in points):
        raise UsageError(f"{WHERE} {key}={text}: {match['marks']!r} means nothing there; {SYNTAX}")
    bare = Dimension(key=key, kind=kind, bounds=(low, high), log=bool(words), text=text)
    return replace(bare, values=tuple(_spread_points(bare, points[0]))) if points else bare


def _spread_points(dimension: Dimension, count: int) -> Iterable[Value]:
    """Yield points from end to end of a range, the ends exactly as given; whole numbers are rounded."""
    assert dimension.bounds is not None
    low, high = dimension.bounds
    for index in range(count):
        share = index / (count - 1)
        value = low * (high / low) ** share if dimension.log else low + (high - low) * share
        exact = low if index == 0 else high if index == count - 1 else float(f"{value:.6g}")
        yield round(exact) if dimension.kind == "int" else exact


def _check_value(key: str, value: Value, *, others: Sequence[Dimension], recipe: Recipe) -> None:
    # Alone first: most values fit the recipe as it is. Where one does not, it may still fit some value of the others
    # (a kernel and its padding), which is all that a search needs.
    combinations = itertools.product(*(item.samples for item in others))
    first: UsageError | None = None
    for combination in itertools.islice(itertools.chain([()], combinations), MOST_PROBES):
        point = dict(zip([item.key for item in others], combination, strict=False))
        try:
            apply_point(recipe, {key: value, **point})
        except UsageError as error:
            first = first or error
        else:
            return
    assert first is not None
    raise UsageError(f"{WHERE} {key} cannot be {value}: {first}") from first
