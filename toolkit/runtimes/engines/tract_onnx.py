"""tract, an engine in Rust."""

from __future__ import annotations

__all__ = ["TractRuntime"]

import functools
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tract
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing, sum_up

# tract's words for the element types that it can be fed.
TYPES = {
    "bool": "bool",
    **{f"{kind}{bits}": f"{kind[0]}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"f{bits}" for bits in (16, 32, 64)},
}
# A caller that changes its shapes all the time must not fill the memory.
MOST_SHAPES = 8
# For every input its name, and its sizes and type in tract's words.
Facts = tuple[tuple[str, str], ...]


class TractRuntime(Runtime):
    """A file optimised by tract: with its open sizes as they are or, where tract needs to know them, for those fed."""

    name: ClassVar[str] = "tract"

    def _open(self, source: ModelSource) -> None:
        self._optimise_for = functools.lru_cache(MOST_SHAPES)(functools.partial(_optimise, source.model))
        self.info = self._describe_file(source, version=tract.version())
        self._of_any: tract.Runnable | None = None
        try:
            self._of_any = _optimise(source.model, ())
        except tract.TractError as error:
            if all(_is_known(spec) for spec in self.info.inputs):
                raise ModelError(f"tract refuses the model: {sum_up(error)}") from error

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run the inputs in the file's order; see `Runtime.compute`.

        Raises:
            ModelError: tract refuses the model, or fails while it runs.
        """
        arrays = [np.asarray(feeds[spec.name], order="C") for spec in self.info.inputs]
        with refusing("tract", tract.TractError):
            values = (self._of_any or self._optimise_for(_tell_facts(feeds))).run(arrays)
        return {spec.name: value.to_numpy() for spec, value in zip(self.info.outputs, values, strict=True)}


def _optimise(model: bytes, facts: Facts) -> tract.Runnable:
    """Return what runs, for the types and sizes of the inputs where they are told."""
    with tempfile.TemporaryDirectory(prefix="toolkit-tract-") as folder:  # it reads files only
        path = Path(folder, "model.onnx")
        path.write_bytes(model)
        inference = tract.onnx().load(path)
    for index in range(inference.input_count() if facts else 0):
        inference.set_input_fact(index, dict(facts)[inference.input_name(index)])
    for index in range(inference.output_count()):
        inference.set_output_fact(index, None)  # what a file says of its outputs may not hold
    return inference.into_model().into_runnable()


def _tell_facts(feeds: Arrays) -> Facts:
    return tuple((name, ",".join([*map(str, item.shape), TYPES[item.dtype.name]])) for name, item in feeds.items())


def _is_known(spec: TensorSpec) -> bool:
    return bool(spec.shape) and all(isinstance(size, int) for size in spec.shape)
