"""Sizes of outputs that a graph states and its module's answers do not keep to; torch states some as it met them."""

from __future__ import annotations

__all__ = ["open_sizes"]

import onnx

from toolkit.exporting.modules.example import Example
from toolkit.parity.references.feeds import FeedsReference


def open_sizes(graph: onnx.ModelProto, reference: FeedsReference, *, example: Example) -> bool:
    """Leave open what a module's answers show to be: by the name of the input's axis whose size they have, if any.

    Args:
        graph: changed in place; sizes within it are left out where one was wrong.
        reference: the module's answers.
        example: names the inputs' axes.

    Returns:
        Whether one was.
    """
    is_changed = False
    sizes = {
        axis: [entry.feeds[name].shape[place] for entry in reference.suites]
        for name, axes in example.dynamic.items()
        for place, axis in axes.items()
    }
    for output in graph.graph.output:
        shapes = [entry.outputs[output.name].shape for entry in reference.suites]
        for place, dim in enumerate(output.type.tensor_type.shape.dim):
            seen = [shape[place] for shape in shapes]
            if dim.HasField("dim_value") and set(seen) != {dim.dim_value}:
                dim.dim_param = next((axis for axis, told in sizes.items() if told == seen), f"{output.name}_{place}")
                del graph.graph.value_info[:]
                is_changed = True
    return is_changed
