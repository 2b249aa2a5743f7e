"""Records go through JSON and come back as they were."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from toolkit.plain import from_plain, to_plain


class Pair(NamedTuple):
    name: str
    sizes: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    pairs: tuple[Pair, ...] = ()
    flag: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    number: int

    def to_json(self) -> dict[str, Any]:
        return {"told": self.number}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    inner: Inner
    by_name: dict[str, Inner] = field(default_factory=dict)
    perhaps: Inner | None = None
    corner: tuple[int, str] = (0, "")
    words: dict[str, list[int]] = field(default_factory=dict)


PAIR = Pair("x", (1, "n", None))


@pytest.mark.parametrize(
    "record",
    [
        Outer(inner=Inner()),
        Outer(inner=Inner(pairs=(PAIR, PAIR), flag=True), perhaps=Inner(pairs=(PAIR,)), corner=(3, "a")),
        Outer(inner=Inner(), by_name={"one": Inner(pairs=(PAIR,))}, words={"some": [1, 2]}),
    ],
)
def test_a_record_comes_back_through_json(record: Outer) -> None:
    assert from_plain(Outer, json.loads(json.dumps(to_plain(record)))) == record


def test_what_is_plain() -> None:
    assert to_plain({"a": (Path("x/y"), PAIR, Told(number=3))}) == {
        "a": ["x/y", {"name": "x", "sizes": [1, "n", None]}, {"told": 3}]
    }
    assert to_plain(Told(number=3)) == {"number": 3}  # a record may build what it tells on its own fields


@pytest.mark.parametrize("value", [{"inner": {}, "outer": 1}, {}, {"inner": {"pairs": [{"name": "x"}]}}])
def test_unknown_and_missing_keys_are_errors(value: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        from_plain(Outer, value)
