"""What engines answer with as named arrays: sequences, maps and optionals flattened, strings as NumPy has them."""

from __future__ import annotations

__all__ = ["Flattened", "Unreadable", "flatten_values"]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.onnx_file.element_types import FLOATS, SMALL_BITS, type_name

# A sequence's tensors may differ in rank; this stands where one has no such axis.
NO_AXIS = -1
NUMBERS = FLOATS | SMALL_BITS.keys()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What an engine computed and its interface does not hand out, with the reason."""

    reason: str


class Flattened(NamedTuple):
    """An answer as arrays.

    Attributes:
        arrays: by name; of an output `y` that is no tensor, `y[...]` as `flatten_values` says.
        left_out: outputs that have no such form, and why.
    """

    arrays: dict[str, NDArray[Any]]
    left_out: dict[str, str]


class _NoFormError(Exception):
    """An answer that has no form as arrays; its words say why."""


def flatten_values(values: Mapping[str, Any], kinds: Mapping[str, str]) -> Flattened:
    """Return an engine's answers as arrays of numbers or of strings.

    A tensor keeps its name. Of another output `y`:

    - a sequence of tensors is `y[values]`, the tensors' elements one after the other, and `y[shapes]`, int64 `[N, most
      axes]` with -1 where a tensor has no such axis;
    - a sequence of N maps with the same K keys is `y[keys]`, `[K]` in order, and `y[values]`, `[N, K]`; a map is a
      sequence of one without its axis;
    - an optional that holds nothing is `y[absent]`, true.

    The names are the same in every call, whatever its sizes.

    Args:
        values: every output by name, as the engine hands it out.
        kinds: what each is declared as: engines hand out the floats of a map as Python's, which are wider.
    """
    arrays: dict[str, NDArray[Any]] = {}
    left_out: dict[str, str] = {}
    for name, value in values.items():
        try:
            arrays |= {f"{name}{part}": array for part, array in _flatten(value, kinds.get(name, ""))}
        except _NoFormError as error:
            left_out[name] = str(error)
    return Flattened(arrays, left_out)


def _flatten(value: Any, kind: str) -> Iterable[tuple[str, NDArray[Any]]]:
    """Return the parts of one output, named by what stands behind the output's name."""
    if isinstance(value, np.ndarray):
        return [("", _as_tensor(value))]
    if value is None:
        return [("[absent]", np.array(True))]
    if isinstance(value, Mapping):
        keys, columns = _flatten_maps([value], kind)
        return [("[keys]", keys), ("[values]", columns[0])]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if value and all(isinstance(item, Mapping) for item in value):
            return zip(("[keys]", "[values]"), _flatten_maps(value, kind), strict=True)
        return zip(("[shapes]", "[values]"), _flatten_tensors(value), strict=True)
    return [("", _as_tensor(value))]


def _flatten_maps(maps: Sequence[Mapping[Any, Any]], kind: str) -> tuple[NDArray[Any], NDArray[Any]]:
    keys = sorted(maps[0])
    if any(item.keys() != maps[0].keys() for item in maps):
        raise _NoFormError("its maps have other keys in one item than in the next")
    rows = [[_as_tensor(item[key]) for key in keys] for item in maps]
    shapes = {array.shape for row in rows for array in row}
    if len(shapes) > 1:
        raise _NoFormError("its maps hold tensors of several shapes")
    values = np.array(rows).reshape(len(rows), len(keys), *next(iter(shapes), ()))
    return _as_tensor(np.array(keys)), values.astype(np.float32) if "tensor(float)" in kind else values


def _flatten_tensors(tensors: Sequence[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    arrays = [_as_tensor(item) for item in tensors]
    axes = max((array.ndim for array in arrays), default=0)
    shapes = [(*array.shape, *([NO_AXIS] * (axes - array.ndim))) for array in arrays]
    values = np.concatenate([array.ravel() for array in arrays]) if arrays else np.zeros(0)
    return np.array(shapes, np.int64).reshape(len(arrays), axes), values


def _as_tensor(value: Any) -> NDArray[Any]:
    if isinstance(value, Unreadable):
        raise _NoFormError(value.reason)
    if not isinstance(value, np.ndarray | np.generic | int | float | str):
        raise _NoFormError(f"it is a {type(value).__name__}, which is neither numbers nor strings")
    array = np.asarray(value)
    if array.dtype.kind in "biuU" or type_name(array.dtype) in NUMBERS:
        return array
    if array.dtype.kind == "O" and all(isinstance(item, str) for item in array.flat):
        return array.astype(np.str_)
    raise _NoFormError(f"it holds {array.dtype}, which is neither real numbers nor strings")
