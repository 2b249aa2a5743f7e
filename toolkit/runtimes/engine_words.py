"""What an engine's error says, in one line without its source code; its own words, whole, go to the worker's log."""

from __future__ import annotations

__all__ = ["refusing", "sum_up"]

import contextlib
import re
from collections.abc import Iterator

from toolkit.errors import ModelError

MOST_CHARACTERS = 240
# Lines that only say where in the engine's source something was noticed, or what to read.
PLACES = re.compile(
    r"Exception from \S+:\d+:$|.*\bCheck '.*' failed at \S+:\d+:$|While validating |Shape inference input shapes|"
    r"FrontEnd API failed with \w+:$|Model wasn't fully converted|Summary:$|To facilitate |Conversion is failed for|"
    r"Stack backtrace|Error code: |Diagnostics:$|Invoked with:|Need more information"
)
# An engine that prints its compiler's words puts the one that matters behind this.
COMPILER_ERROR = re.compile(r"\berror: (.*)")
CAUSE_NUMBER = re.compile(r"^\d+: ")
CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ")
SOURCE = re.compile(r"(?:/[\w.+-]+)*/?[\w+-]+\.(?:cc|cpp|cu|cuh|h|hpp|rs):\d+:? ")
RUNNING = re.compile(r"Non-zero status code returned while running (\w+) node\. Name:'(.*?)' Status Message: ")
# A condition of ONNX Runtime's own that did not hold, in C++; what it means follows.
ENFORCED = re.compile(r"[\w.]+ == (?:\w+::)+\w+ was false\. ")
INVALID_NODE = re.compile(r"This is an invalid model\. .*?, Error ")
# What CUDA's provider says of where: the machine's name, too.
CUDA_PLACE = re.compile(r" ; GPU=-?\d+ ; hostname=.*")
# What MLIR says of where the graph came from.
LOCATION = re.compile(r" at loc\(.*")


@contextlib.contextmanager
def refusing(
    engine: str, kind: type[Exception] = Exception, *, verb: str = "refuses", tells_type: bool = False
) -> Iterator[None]:
    """Turn what an engine raises into its refusal of the model.

    Args:
        engine: what messages call it.
        kind: of its errors; anything where they share no base.
        verb: what it does to the model.
        tells_type: whether the error's type is told, where its words alone say little.

    Raises:
        ModelError: it raised one.
    """
    try:
        yield
    except kind as error:
        words = f"{type(error).__name__}: {sum_up(error)}" if tells_type else sum_up(error)
        raise ModelError(f"{engine} {verb} the model: {words}") from error


def sum_up(error: BaseException | str) -> str:
    """Return what an error of an engine says: its telling lines, without places in source code and C++ signatures.

    Args:
        error: as the engine raised it, or its text; one without words is told by its type.
    """
    text, _, causes = str(error).partition("Stack backtrace")[0].partition("Caused by:")
    compiled = COMPILER_ERROR.search(text)
    words = _clean(" ".join((_first_statement([compiled[1]] if compiled else text.splitlines()), *_last_cause(causes))))
    if not words:
        return type(error).__name__
    return words if len(words) <= MOST_CHARACTERS else f"{words[:MOST_CHARACTERS].rsplit(' ', 1)[0]} ..."


def _first_statement(lines: list[str]) -> str:
    """Return the first line that says something, with the headings before it."""
    full = [line.strip().removeprefix("-- ") for line in lines if line.strip()]
    telling = [line for line in full if not PLACES.match(line)] or full
    length = next((number for number, line in enumerate(telling, start=1) if not line.endswith(":")), len(telling))
    return " ".join(telling[:length])


def _last_cause(causes: str) -> list[str]:
    """Return the innermost of the causes that Rust's errors list, as ` 2: Impossible to unify`."""
    lines = [line.strip() for line in causes.splitlines() if line.strip()]
    return [f": {CAUSE_NUMBER.sub('', lines[-1])}"] if lines else []


def _clean(words: str) -> str:
    words = CUDA_PLACE.sub("", LOCATION.sub("", CODE.sub("", words)))
    words = INVALID_NODE.sub("", RUNNING.sub(_name_node, words))
    place = SOURCE.search(words)
    while place is not None:
        words = words[: place.start()] + _skip_signature(words[place.end() :])
        place = SOURCE.search(words)
    return " ".join(ENFORCED.sub("", words).split()).replace(" : ", ": ")


def _name_node(found: re.Match[str]) -> str:
    return f"{found[1]} {found[2]!r}: " if found[2] else f"{found[1]}: "


def _skip_signature(words: str) -> str:
    """Return what follows a C++ function's signature; the words themselves where they begin with none."""
    start = words.find("(")
    if start < 0 or "::" not in words[:start]:
        return words
    depth = 0
    for index in range(start, len(words)):
        depth += {"(": 1, ")": -1}.get(words[index], 0)
        rest = words[index + 1 :].removeprefix(">")  # of a lambda
        if depth == 0 and words[index] == ")" and rest[:1] in {"", " "}:
            rest = rest.lstrip()
            return re.sub(r"^(const )?(\[with [^\]]*\] )?", "", rest)
    return words
