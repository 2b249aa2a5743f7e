"""JSON of strangers: no key twice, no NaN, not deep, and UTF-8."""

from __future__ import annotations

__all__ = ["read_json"]

import json
import re
from typing import Any

from toolkit.containers.kinds import is_picture
from toolkit.serving.codec.refusal import RefusedError

MOST_DEPTH = 8
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# What is sent in its place: by how it begins, what it is and what to do with it.
MISTAKEN = {
    b"\x1f\x8b": "compressed with gzip; say so with Content-Encoding: gzip",
    b"\x93NUMPY": "an NPY file; send its values as data in JSON, or as raw bytes behind it",
}
JSON_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


def read_json(text: bytes) -> dict[str, Any]:
    """Return an object of JSON: no key twice, no NaN, at most eight deep.

    Raises:
        RefusedError: it is none.
    """
    try:
        characters = text.decode()
        _require_shallow(text)
        told = DECODER.decode(characters)
    except RefusedError:
        raise
    except (ValueError, RecursionError) as error:
        if is_picture(text):
            raise RefusedError(
                "the body is a picture; send its bytes to /v2/models/NAME/classify, or its pixels here as a tensor"
            ) from error
        for start, kind in MISTAKEN.items():
            if text.startswith(start):
                raise RefusedError(f"the body is {kind}") from error
        raise RefusedError(f"the request is not JSON: {error}") from error
    if not isinstance(told, dict):
        raise RefusedError('the request is not a JSON object; expected {"inputs": [...]}')
    return told


def _require_shallow(text: bytes) -> None:
    if (
        text.count(b"[") + text.count(b"{") > MOST_DEPTH < _depth(text)
        and _depth(JSON_STRING.sub(b"", text)) > MOST_DEPTH
    ):
        raise RefusedError(f"the request's JSON is nested more than {MOST_DEPTH} deep")


def _depth(text: bytes) -> int:
    """Return how deep brackets are nested, those inside strings among them; no further than one past what may be."""
    deepest = depth = 0
    for byte in text.translate(None, NO_BRACKETS):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
        if deepest > MOST_DEPTH:
            break
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RefusedError(f"the request's JSON has the key {twice[:60]!r} twice")
    return told


def _refuse_constant(word: str) -> Any:
    raise RefusedError(f"the request is not JSON: it holds {word}, which JSON does not know")


DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
