"""Arguments as a program or a command line gives them: names, numbers, sizes; and a call as text."""

from __future__ import annotations

__all__ = [
    "DEFAULT_DATA",
    "DEFAULT_RECIPE",
    "Names",
    "Numbers",
    "name_runtimes",
    "split_names",
    "split_numbers",
    "split_settings",
    "split_size",
    "write_call",
]

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsIndex, TypeAlias

from toolkit.errors import UsageError
from toolkit.runtimes.registry import RUNTIMES

# "ort,torch" or ["ort", "torch"].
Names: TypeAlias = str | Iterable[str]
# 1, [1, 64] or "1,64".
Numbers: TypeAlias = SupportsIndex | str | Iterable[int]
# What is trained on, and how, where nobody says.
DEFAULT_DATA = "mnist"
DEFAULT_RECIPE = "fast"
# Of a call's arguments those that say how it is watched, not what it does.
WATCHING = ("listener", "on_epoch")


def split_names(given: Names) -> tuple[str, ...]:
    """Return the names of `a,b`, or those given.

    Raises:
        UsageError: there is none.
    """
    parts = given.split(",") if isinstance(given, str) else given
    names = tuple(part.strip() for part in parts if part.strip())
    if not names:
        raise UsageError(f"{given!r} names nothing; give names separated by commas")
    return names


def name_runtimes(given: Names | None, *, at: str | None, default: str | None) -> tuple[str, ...] | None:
    """Return the runtimes that are named; where only a server is, the one that asks it.

    Args:
        given: of `--runtime`.
        at: the server's URL.
        default: where neither is given.

    Raises:
        UsageError: a server is named that nobody asks, by nothing, or none that is asked.
    """
    if at == "":  # of a variable that nobody set: what runs here would be taken for the server's
        raise UsageError("--at is empty; name a server, such as http://127.0.0.1:8000, or leave it out")
    asking = "oip-grpc" if at and at.startswith("grpc") else "oip-http"
    names = split_names(given) if given else (asking,) if at else None
    asks = any(name in RUNTIMES and RUNTIMES[name].is_remote for name in names or ())
    if at and not asks:
        raise UsageError(f"--at names a server, which {', '.join(names or ())} does not ask; add --runtime {asking}")
    if asks and not at:
        raise UsageError(f"runtime {', '.join(names or ())} asks a server; name it with --at http://127.0.0.1:8000")
    return names or (None if default is None else (default,))


def split_numbers(given: Numbers, *, option: str, least: int) -> tuple[int, ...]:
    """Return the whole numbers of `1,32`, or those given.

    Raises:
        UsageError: one is not a whole number of at least `least`, or there is none.
    """
    try:
        parts = split_names(given) if isinstance(given, str) else [given] if isinstance(given, SupportsIndex) else given
        numbers = tuple(int(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{option} {given!r} is not a list of whole numbers such as 1,32") from error
    if not numbers or min(numbers) < least:
        seen = f"holds {min(numbers)}" if numbers else "is empty"
        raise UsageError(f"{option} {given!r} {seen}; the least is {least}")
    return numbers


def split_settings(given: Mapping[str, object] | str | Iterable[str] | None) -> list[str]:
    """Return the settings `key=value`, one or many."""
    if isinstance(given, Mapping):
        return [f"{key}={value}" for key, value in given.items()]
    return [given] if isinstance(given, str) else [*(given or ())]


def split_size(given: str | int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Return (height, width) of `48x64` or (48, 64); `64` is a square, None stays None.

    Raises:
        UsageError: it is neither.
    """
    if given is None:
        return None
    sides = "x".join(map(str, given)).split("x") if isinstance(given, tuple) else str(given).lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides):
        raise UsageError(f"--size {given!r} is no size; write it as 64 or 48x64 (height x width)")
    return int(sides[0]), int(sides[-1])


def write_call(function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Return a call of the library as text: what differs from the defaults, data in memory by what they are.

    Args:
        function: that was called.
        given: its arguments by name, as `locals()` has them on its first line.
    """
    words = []
    for name, parameter in inspect.signature(function).parameters.items():
        value = given[name]
        if name in WATCHING or (parameter.default is not parameter.empty and value is parameter.default):
            continue
        text = _write_value(value)
        words.append(f"{name}={text}" if parameter.kind is parameter.KEYWORD_ONLY else text)
    return f"toolkit.{function.__name__}({', '.join(words)})"


def _write_value(value: Any) -> str:
    if isinstance(value, str | int | float | None):
        return repr(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_write_value(item)}' for key, item in value.items())}}}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{value.dtype} {list(value.shape)}>"
    if isinstance(value, list | tuple):
        inner = ", ".join(map(_write_value, value[:8])) + (", ..." if len(value) > 8 else "")
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    name = getattr(value, "name", None)
    return f"<{type(value).__name__} {name}>" if isinstance(name, str) else f"<{type(value).__name__}>"
