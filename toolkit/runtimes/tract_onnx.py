"""tract, an engine in Rust."""

from __future__ import annotations

__all__ = ["TractRuntime"]

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tract
from numpy.typing import NDArray

from toolkit.errors import ModelError
from toolkit.runtimes.base import Arrays, Runtime, TensorSpec
from toolkit.runtimes.engine_words import sum_up
from toolkit.runtimes.file_specs import describe_file
from toolkit.runtimes.source import ModelSource

# tract's words for the element types that it can be fed.
FACTS = {
    "bool": "bool",
    **{f"{kind}{bits}": f"{kind[0]}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"f{bits}" for bits in (16, 32, 64)},
}
# A caller that changes its shapes all the time must not fill the memory.
MOST_SHAPES = 8


class TractRuntime(Runtime):
    """A file optimised by tract: with its open sizes as they are or, where tract needs to know them, for those fed."""

    name: ClassVar[str] = "tract"

    def _open(self, source: ModelSource) -> None:
        self._model = source.model
        self._of_shapes: dict[tuple[tuple[int, ...], ...], tract.Runnable] = {}
        self.info = describe_file(source, runtime=self.name, version=tract.version())
        self._of_any: tract.Runnable | None = None
        try:
            self._of_any = _optimise(source.model, {})
        except tract.TractError as error:
            if all(_is_known(spec) for spec in self.info.inputs):
                raise ModelError(f"tract refuses the model: {sum_up(error)}") from error

    def compute(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Run the inputs in the file's order; see `Runtime.compute`.

        Raises:
            ModelError: tract refuses the model, or fails while it runs.
        """
        arrays = [np.asarray(feeds[spec.name], order="C") for spec in self.info.inputs]
        try:
            values = (self._of_any or self._runnable_for(feeds)).run(arrays)
        except tract.TractError as error:
            raise ModelError(f"tract refuses the model: {sum_up(error)}") from error
        return {spec.name: value.to_numpy() for spec, value in zip(self.info.outputs, values, strict=True)}

    def _runnable_for(self, feeds: Arrays) -> tract.Runnable:
        shapes = tuple(feeds[spec.name].shape for spec in self.info.inputs)
        if shapes not in self._of_shapes:
            if len(self._of_shapes) == MOST_SHAPES:
                self._of_shapes.pop(next(iter(self._of_shapes)))
            self._of_shapes[shapes] = _optimise(self._model, feeds)
        return self._of_shapes[shapes]


def _optimise(model: bytes, feeds: Arrays) -> tract.Runnable:
    """Return what runs, for the types and sizes of the arrays where there are some."""
    with tempfile.TemporaryDirectory(prefix="toolkit-tract-") as folder:  # it reads files only
        path = Path(folder, "model.onnx")
        path.write_bytes(model)
        inference = tract.onnx().load(path)
    for index in range(inference.input_count() if feeds else 0):
        array = feeds[inference.input_name(index)]
        inference.set_input_fact(index, ",".join([*map(str, array.shape), FACTS[array.dtype.name]]))
    for index in range(inference.output_count()):
        inference.set_output_fact(index, None)  # what a file says of its outputs may not hold
    return inference.into_model().into_runnable()


def _is_known(spec: TensorSpec) -> bool:
    return bool(spec.shape) and all(isinstance(size, int) for size in spec.shape)
