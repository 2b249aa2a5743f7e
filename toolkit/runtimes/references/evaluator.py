"""ONNX's evaluator with our operators where it is wrong or has none, in graphs, branches and functions alike.

Slow, in NumPy, and what the standard means: the runtime `onnx`, and what widened files are evaluated by.
"""

from __future__ import annotations

__all__ = ["Evaluator", "OnnxEvaluatorRuntime", "WideEvaluator", "unwrap_optionals"]

from collections.abc import Mapping, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto
from onnx.reference import ReferenceEvaluator

from toolkit.onnx_file.element_types import TensorSpec
from toolkit.onnx_file.graph_parts import names_used
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.engine_words import refusing
from toolkit.runtimes.references.operators.declared import WITHOUT_EFFECT, Type, classes_for

UNREAD = "toolkit.unread"
OTHER_NAME = "ai.onnx"


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
        _use_one_name(proto)
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


class OnnxEvaluatorRuntime(Runtime):
    """A file evaluated node by node in its own types."""

    name: ClassVar[str] = "onnx"

    def _open(self, source: ModelSource) -> None:
        with refusing("the ONNX evaluator"):  # an operator it lacks has no error of its own
            self._evaluator = Evaluator(onnx.ModelProto.FromString(source.model))
        self.info = self._describe_file(source, version=onnx.__version__)

    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Evaluate every node; see `Runtime.compute`.

        Raises:
            ModelError: an operator fails.
        """
        with refusing("the ONNX evaluator", verb="cannot run"):
            values = self._evaluator.run(None, dict(feeds))
        named = {spec.name: value for spec, value in zip(self.info.outputs, values, strict=True)}
        return unwrap_optionals(named, self.info.outputs)


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


def _use_one_name(proto: ModelProto | GraphProto | FunctionProto) -> None:
    """Call the default domain by its empty name; "ai.onnx" is its other one in the standard (IR, operator sets)."""
    graph = proto.graph if isinstance(proto, ModelProto) else proto
    imports = () if isinstance(proto, GraphProto) else proto.opset_import
    for item in (*imports, *graph.node):
        if item.domain == OTHER_NAME:
            item.domain = ""


def _sort(graph: GraphProto | FunctionProto) -> None:
    """Put every node behind those that it reads, as engines do; one that reads itself on the way is left to fail."""
    made = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    reads = {index: {made[name] for name in _reads(node) if name in made} for index, node in enumerate(graph.node)}
    if all(index > max(needed, default=-1) for index, needed in reads.items()):
        return
    with suppress(CycleError):
        nodes = [graph.node[index] for index in TopologicalSorter(reads).static_order()]
        del graph.node[:]
        graph.node.extend(nodes)


def _reads(node: NodeProto) -> set[str]:
    inside = [names_used(item.g) for item in node.attribute if item.HasField("g")]
    return {name for name in node.input if name}.union(*inside)


def _prepare(graph: GraphProto | FunctionProto) -> None:
    """Change what the evaluator (1.23) trips over.

    It hands an output that a node leaves out to inputs that are left out, and its operators know no attribute of
    opset 1 that changes nothing. It takes nodes as they lie in the file, where engines sort them.
    """
    _sort(graph)
    for node in graph.node:
        while len(node.output) > 1 and not node.output[-1]:
            node.output.pop()
        node.output[:] = [name or UNREAD for name in node.output]
        for attribute in [item for item in node.attribute if item.name in WITHOUT_EFFECT]:
            node.attribute.remove(attribute)
