"""A module's example: its inputs by name, the axes that stay open, and calls of other sizes that are made from it."""

from __future__ import annotations

__all__ = ["Example", "make_calls", "read_example", "to_tensors"]

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.errors import UsageError, suggest
from toolkit.exporting.modules.config import ModuleExportConfig
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.runtimes.contract import PROVEN_BATCHES

BATCH = "batch"
# What an engine is given has one of these types; torch has others.
NUMBERS = "biuf"
SEED = 20_261_129


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What a module is traced with.

    Attributes:
        arrays: every input by its name in the file, in the order of `forward`.
        keywords: the parameters that they are handed to; empty where they are handed over in their order.
        dynamic: name of each axis that stays open, by input and dimension.
        further: calls that are asked besides those made from it.
    """

    arrays: dict[str, NDArray[Any]]
    keywords: tuple[str, ...]
    dynamic: dict[str, dict[int, str]]
    further: tuple[FeedSet, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """The example's size of each open axis."""
        return {
            axis: self.arrays[name].shape[place] for name, axes in self.dynamic.items() for place, axis in axes.items()
        }

    def other_sizes(self, axis: str) -> tuple[int, ...]:
        """Return the further sizes at which an open axis is proven: the contract's of a batch, else some around it."""
        if any(axes.get(0) == axis for axes in self.dynamic.values()):
            return PROVEN_BATCHES
        size = self.sizes[axis]
        return tuple(sorted({1, 2, 3, size + 1, 2 * size} - {size}))

    def resize(self, sizes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
        """Return the inputs with open axes of other sizes: cut, or the example once more behind itself."""
        resized = dict(self.arrays)
        for name, axes in self.dynamic.items():
            for place, axis in axes.items():
                size = self.arrays[name].shape[place]
                resized[name] = resized[name].take(np.arange(sizes.get(axis, size)) % size, axis=place)
        return resized


def read_example(module: nn.Module, example: Any, *, config: ModuleExportConfig) -> Example:
    """Return an example with the names of its inputs and its open axes.

    Args:
        module: whose `forward` takes it.
        example: a tensor or array, a tuple of them, or a dictionary of them by parameter.
        config: names and open axes.

    Raises:
        UsageError: it is something else, or does not fit `forward`, the names or the open axes.
    """
    by_name = isinstance(example, Mapping)
    given = dict(example) if by_name else {}
    placed = () if by_name else (tuple(example) if isinstance(example, tuple | list) else (example,))
    signature = inspect.signature(module.forward)
    try:
        bound = signature.bind(*placed, **given).arguments
    except TypeError as error:
        raise UsageError(f"the example does not fit forward{signature}: {error}") from error
    found: dict[str, Any] = {}
    for name, value in bound.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            found |= {f"{name}_{number}": item for number, item in enumerate(value)}
        else:
            found |= value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
    if not found:
        raise UsageError("the example is empty; give a tensor, a tuple of tensors or a dictionary of them")
    arrays = dict(zip(_choose_names(tuple(found), config), map(_to_array, found, found.values()), strict=True))
    dynamic = _read_axes(arrays, config.dynamic)
    return Example(arrays=arrays, keywords=tuple(found) if by_name else (), dynamic=dynamic)


def make_calls(example: Example, *, shuffled: bool = True) -> tuple[FeedSet, ...]:
    """Return the example as it is, further calls, then one call for each other size of each open axis.

    Rows behind the example's own hold its numbers in another order, so that every number is one that the module takes;
    floats that are all the same are drawn from 0 to 1, because an answer would hardly depend on them.

    Args:
        example: of the module.
        shuffled: whether whole numbers change places, too; of those some columns may take fewer values than others.
    """
    sets = [FeedSet("example", example.arrays), *example.further]
    for axis in example.sizes:
        for other in example.other_sizes(axis):
            random = np.random.default_rng(SEED + other)
            arrays = {
                name: _vary(array, own=len(example.arrays[name]) if array.ndim else 1, shuffled=shuffled, random=random)
                for name, array in example.resize({axis: other}).items()
            }
            sets.append(FeedSet(f"{axis} {other}", arrays))
    return tuple(sets)


def to_tensors(arrays: Mapping[str, NDArray[Any]]) -> tuple[Tensor, ...]:
    """Return arrays as tensors of their own, in their order."""
    return tuple(torch.from_numpy(array.copy()) for array in arrays.values())


def _vary(array: NDArray[Any], *, own: int, shuffled: bool, random: np.random.Generator) -> NDArray[Any]:
    is_float = array.dtype.kind == "f"
    if is_float and array.size > 1 and (array == array.flat[0]).all():
        return random.random(array.shape).astype(array.dtype)
    varied = array.copy()
    if (is_float or shuffled) and array.ndim > 1:
        for row in varied[own:]:
            row[...] = random.permutation(row.reshape(-1)).reshape(row.shape)
    return varied


def _choose_names(parameters: tuple[str, ...], config: ModuleExportConfig) -> tuple[str, ...]:
    if config.input_names and len(config.input_names) != len(parameters):
        raise UsageError(f"{len(config.input_names)} input names for the inputs {', '.join(parameters)}; give as many")
    return config.input_names or parameters


def _to_array(name: str, value: Any) -> NDArray[Any]:
    owner = f"{name!r} of the example"
    if not isinstance(value, Tensor | np.ndarray):
        raise UsageError(
            f"{owner} is a {type(value).__name__}; expected a tensor; settle the rest in a module around this one"
        )
    strange = UsageError(f"{owner} is of {value.dtype}; expected floats, whole numbers or booleans")
    try:
        array: NDArray[Any] = (value.detach().cpu().numpy() if isinstance(value, Tensor) else value).copy()
    except (TypeError, RuntimeError) as error:
        raise strange from error
    if array.dtype.kind not in NUMBERS:
        raise strange
    if not np.isfinite(array).all():
        raise UsageError(f"{owner} has numbers that are not finite; give a typical input")
    return array


def _read_axes(
    arrays: Mapping[str, NDArray[Any]], asked: Mapping[str, Mapping[int, str]] | None
) -> dict[str, dict[int, str]]:
    if asked is None:
        asked = {name: {0: BATCH} for name, array in arrays.items() if array.ndim}
    sizes: dict[str, tuple[str, int]] = {}
    for name, axes in asked.items():
        if name not in arrays:
            raise UsageError(f"no input is called {name!r}{suggest(name, arrays)}; the inputs are {', '.join(arrays)}")
        shape = arrays[name].shape
        for place, axis in axes.items():
            if place not in range(len(shape)) or not shape[place]:
                raise UsageError(f"{name!r} of the example has the sizes {list(shape)}; no axis {place} can stay open")
            other, size = sizes.setdefault(axis, (name, shape[place]))
            if size != shape[place]:
                raise UsageError(
                    f"the axis {axis!r} has the size {size} in {other!r} and {shape[place]} in {name!r}; name the open "
                    f"axes: dynamic={{{name!r}: {{{place}: '...'}}}}"
                )
    return {name: dict(axes) for name, axes in asked.items() if axes}
