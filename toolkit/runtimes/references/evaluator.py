"""ONNX's evaluator with our operators where it is wrong or has none, in graphs, branches and functions alike."""

from __future__ import annotations

__all__ = ["Evaluator", "WideEvaluator", "unwrap_optionals"]

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from onnx import FunctionProto, GraphProto, ModelProto
from onnx.reference import ReferenceEvaluator

from toolkit.runtimes.base import TensorSpec
from toolkit.runtimes.references.operators.declared import WITHOUT_EFFECT, Type, classes_for

UNREAD = "toolkit.unread"


class Evaluator(ReferenceEvaluator):
    """Evaluates a file node by node, every operator as the opset means that its graph or function imports.

    ONNX's evaluator makes one of its own class for each branch, each function of the file and each operator that the
    standard defines by others, so that ours are in force there too.

    Attributes:
        real: the type of what the standard fixes as float32.
    """

    real: ClassVar[Type] = np.dtype(np.float32)

    def __init__(
        self, proto: ModelProto | GraphProto | FunctionProto, opsets: dict[str, int] | None = None, **options: Any
    ) -> None:
        _prepare(proto.graph if isinstance(proto, ModelProto) else proto)
        imported = opsets or {item.domain: item.version for item in proto.opset_import}
        options["new_ops"] = [*classes_for(imported, self.real), *(options.get("new_ops") or ())]
        super().__init__(proto, opsets, **options)

    def run(self, *arguments: Any, **options: Any) -> Any:
        """Evaluate as ONNX's evaluator does; that a number overflows is an answer, and no warning."""
        with np.errstate(all="ignore"):
            return super().run(*arguments, **options)


class WideEvaluator(Evaluator):
    """Evaluates a file that was widened: nothing in it is float32."""

    real: ClassVar[Type] = np.dtype(np.float64)


def _prepare(graph: GraphProto | FunctionProto) -> None:
    """Change what the evaluator (1.23) trips over.

    It hands an output that a node leaves out to inputs that are left out, and its operators know no attribute of
    opset 1 that changes nothing.
    """
    for node in graph.node:
        while len(node.output) > 1 and not node.output[-1]:
            node.output.pop()
        node.output[:] = [name or UNREAD for name in node.output]
        for attribute in [item for item in node.attribute if item.name in WITHOUT_EFFECT]:
            node.attribute.remove(attribute)


def unwrap_optionals(values: Mapping[str, Any], specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """Return outputs as engines hand them out: the evaluator (1.23) keeps an optional as a list of one item, or none.

    Args:
        values: the outputs by name, and others.
        specs: of the outputs.
    """
    found = {spec.name: values[spec.name] for spec in specs}
    for spec in specs:
        if spec.dtype.startswith("optional(") and isinstance(found[spec.name], list):
            found[spec.name] = next(iter(found[spec.name]), None)
    return found
