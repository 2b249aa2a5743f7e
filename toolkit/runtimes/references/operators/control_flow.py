"""Control flow: Loop and Scan, whose outputs are stacked; and optionals, which hold one value or none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import TypeProto, helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from toolkit.runtimes.references.operators.declared import Array, operator


class _Body(OpRun):
    """An operator that runs a graph of its own.

    Attributes:
        body: the graph.
    """

    body: ReferenceEvaluator

    def need_context(self) -> bool:
        """Say that the graph may read the values around it."""
        return True

    def run_body(self, context: dict[str, Any], given: Iterable[Any], *, attributes: Any) -> list[Any]:
        """Run the graph once on its own inputs, which stand before the values around it."""
        own = dict(zip(self.body.input_names, given, strict=True))
        return list(self.body.run(None, {**context, **own}, attributes=attributes))

    def stack(self, items: Sequence[Array], index: int, *, axis: int = 0) -> Array:
        """Stack what the graph's output `index` gave; where it never ran, nothing, in the type and shape declared."""
        return np.stack(items, axis=axis) if items else _nothing(self.body.output_types[index], axis)

    def scan(
        self, context: dict[str, Any], attributes: Any, *, states: list[Any], rows: Sequence[Array]
    ) -> tuple[list[Any], list[list[Array]]]:
        """Run the graph along the first axis of `rows`; return the last states, and each further output's values."""
        scanned: list[list[Array]] = [[] for _ in self.body.output_names[len(states) :]]
        for given in zip(*rows, strict=True):
            results = self.run_body(context, [*states, *map(np.asarray, given)], attributes=attributes)
            states = results[: len(states)]
            for items, value in zip(scanned, results[len(states) :], strict=True):
                items.append(value)
        return states, scanned


@operator("Loop")
class _Loop(_Body):
    """Operators.md, Loop: what is left out bounds nothing; outputs are stacked along a new first axis."""

    def _run(
        self,
        trip_count: Array | None,
        condition: Array | None,
        *initial: Any,
        context: dict[str, Any],
        attributes: Any = None,
        **_: Any,
    ) -> tuple[Any, ...]:
        states, goes_on = list(initial), condition is None or bool(np.all(condition))
        scanned: list[list[Array]] = [[] for _ in self.body.output_names[1 + len(states) :]]
        last = math.inf if trip_count is None else int(np.asarray(trip_count).item())
        iteration = 0
        while goes_on and iteration < last:
            given = [np.array(iteration, np.int64), np.array(goes_on), *states]
            flag, *results = self.run_body(context, given, attributes=attributes)
            states, goes_on = results[: len(states)], bool(np.all(flag))
            for items, value in zip(scanned, results[len(states) :], strict=True):
                items.append(value)
            iteration += 1
        first = 1 + len(states)
        return *states, *(self.stack(items, first + index) for index, items in enumerate(scanned))


@operator("Scan", since=9)
class _Scan9(_Body):
    """Operators.md, Scan: axes and directions of every scanned input and output."""

    def _run(self, *inputs: Array, context: dict[str, Any], attributes: Any = None, **options: Any) -> tuple[Any, ...]:
        num_scanned = options["num_scan_inputs"]
        states, sequences = list(inputs[:-num_scanned]), inputs[-num_scanned:]
        num_outputs = len(self.body.output_names) - len(states)
        rows = [
            _in_order(np.moveaxis(sequence, axis, 0), direction)
            for sequence, axis, direction in zip(
                sequences,
                options["scan_input_axes"] or [0] * num_scanned,
                options["scan_input_directions"] or [0] * num_scanned,
                strict=True,
            )
        ]
        states, scanned = self.scan(context, attributes, states=states, rows=rows)
        directions = options["scan_output_directions"] or [0] * num_outputs
        axes = options["scan_output_axes"] or [0] * num_outputs
        stacked = [
            self.stack(_in_order(items, direction), len(states) + index, axis=axis)
            for index, (items, direction, axis) in enumerate(zip(scanned, directions, axes, strict=True))
        ]
        return *states, *stacked


@operator("Scan", before=9)
class _Scan8(_Body):
    """Changelog.md, Scan-8: over a batch, each item for its own length; what lies past it is zero."""

    def _run(
        self, lengths: Array | None, *inputs: Array, context: dict[str, Any], attributes: Any = None, **options: Any
    ) -> tuple[Any, ...]:
        num_scanned = options["num_scan_inputs"]
        num_states = len(inputs) - num_scanned
        directions = options["directions"] or [0] * num_scanned
        longest = inputs[-1].shape[1]
        results = []
        for item, own in enumerate(zip(*inputs, strict=True)):
            length = longest if lengths is None else int(lengths[item])
            rows = [_in_order(row[:length], way) for row, way in zip(own[num_states:], directions, strict=True)]
            states, scanned = self.scan(context, attributes, states=list(own[:num_states]), rows=rows)
            stacked = [self.stack(values, num_states + index) for index, values in enumerate(scanned)]
            missing = longest - length
            results.append([*states, *(np.pad(y, [(0, missing)] + [(0, 0)] * (y.ndim - 1)) for y in stacked)])
        return tuple(np.stack(values) for values in zip(*results, strict=True))


def _in_order(items: Any, direction: int) -> Any:
    return items[::-1] if direction else items


def _nothing(kind: TypeProto, axis: int) -> Array:
    shape = [dimension.dim_value for dimension in kind.tensor_type.shape.dim]
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 0)
    return np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type))


class _Optional(list[Any]):
    """What holds one value or none; a list, which is what the evaluator lets pass."""


@operator("Optional")
def _optional(value: Any = None, *, type: Any) -> Any:  # noqa: A002, ARG001 - the attribute's name; of what there is none
    """Wrap a value, or none; Operators.md, Optional."""
    return _Optional([] if value is None else [value])


@operator("OptionalGetElement")
def _optional_get_element(value: Any) -> Any:
    """Return what an optional holds; what is none is its own element (since opset 18); OptionalGetElement-18.

    Raises:
        ValueError: it holds none.
    """
    if not isinstance(value, _Optional):
        return value
    if not value:
        raise ValueError("OptionalGetElement is given an optional that holds nothing")
    return value[0]


@operator("OptionalHasElement")
def _optional_has_element(value: Any = None) -> Array:
    """Say whether there is a value; Operators.md, OptionalHasElement."""
    return np.array(bool(value) if isinstance(value, _Optional) else value is not None)
