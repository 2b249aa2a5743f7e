"""The one way to say which operators of which opsets are ours, and the classes that ONNX's evaluator takes for them."""

from __future__ import annotations

__all__ = ["DECLARED", "INJECTED", "WITHOUT_EFFECT", "Array", "Declared", "Type", "classes_for", "operator"]

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

# Not attributes: a body that names one of them is given how many outputs the node asks for, or the type of what the
# standard fixes as float32.
NUM_OUTPUTS, REAL = INJECTED = ("num_outputs", "real")
# Attributes that change nothing of an answer: where a buffer may be overwritten. A file may leave them out.
WITHOUT_EFFECT = {"consumed_inputs"}
Array = NDArray[Any]
Type = np.dtype[Any]
Body = TypeVar("Body", bound="Callable[..., Any] | type[OpRun]")


class Declared(NamedTuple):
    """One implementation.

    Attributes:
        body: a function from arrays and attributes to an array or a tuple of them, or a class of ONNX's evaluator.
        since: the first opset it holds for.
        before: the first opset it does not hold for any more; None where it still holds.
    """

    body: Callable[..., Any] | type[OpRun]
    since: int
    before: int | None

    def holds_for(self, version: int) -> bool:
        """Say whether an opset is among those it implements."""
        return self.since <= version and (self.before is None or version < self.before)


# By domain and operator.
DECLARED: dict[tuple[str, str], list[Declared]] = {}


def operator(*op_types: str, domain: str = "", since: int = 1, before: int | None = None) -> Callable[[Body], Body]:
    """Declare what implements operators in the opsets from `since` up to, but without, `before`.

    A function takes the node's inputs in their order, None for one that is left out, and as keywords the attributes
    that its opset has, with its defaults. It returns an array, or a tuple of all outputs. It computes in the type it is
    given: float64 in the reference, the file's own by `--runtime onnx`. It may ask for `num_outputs`, how many the node
    names, and for `real`, the type of what is float32 whatever the inputs are. A class of ONNX's evaluator is taken as
    it is.
    """

    def declare(body: Body) -> Body:
        for op_type in op_types:
            DECLARED.setdefault((domain, op_type), []).append(Declared(body, since, before))
        return body

    return declare


def classes_for(opsets: Mapping[str, int], real: Type) -> list[type[OpRun]]:
    """Return our operators for a graph or a function that imports these opsets: the evaluator's `new_ops`."""
    _load_families()
    found = [_make_class(*key, opsets[key[0]], real) for key in DECLARED if key[0] in opsets]
    return [item for item in found if item is not None]


@functools.cache
def _load_families() -> None:
    """Import the modules beside this one, which declare their operators."""
    for item in pkgutil.walk_packages([str(Path(__file__).parent)], f"{__package__}."):
        importlib.import_module(item.name)


@functools.cache
def _make_class(domain: str, op_type: str, version: int, real: Type) -> type[OpRun] | None:
    """Return what implements an operator in an opset; None where that is left to ONNX's evaluator.

    The class carries the schema of its own opset: the evaluator fills attributes that a node leaves out from the newest
    one (1.23), in which many a default is another.
    """
    fitting = [item.body for item in DECLARED[domain, op_type] if item.holds_for(version)]
    if not fitting or not onnx.defs.has(op_type, version, domain):
        return None
    (body,) = fitting
    members: dict[str, Any] = {
        "op_domain": domain,
        "op_schema": onnx.defs.get_schema(op_type, version, domain),
        **dict.fromkeys(WITHOUT_EFFECT),
    }
    if isinstance(body, type):
        return type(op_type, (body,), members)
    members |= {"body": staticmethod(body), "takes": inspect.signature(body).parameters, "real": real}
    return type(op_type, (_Function,), members)


class _Function(OpRun):
    """An operator of ONNX's evaluator that is one of our functions."""

    body: Callable[..., Any]
    takes: Mapping[str, inspect.Parameter]
    real: Type

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[Any, ...]:
        given = {name: _plain(value) for name, value in attributes.items()}
        if NUM_OUTPUTS in self.takes:
            given[NUM_OUTPUTS] = len(self.onnx_node.output)
        if REAL in self.takes:
            given[REAL] = self.real
        results = self.body(*inputs, **given)
        return results if isinstance(results, tuple) else (results,)


def _plain(value: Any) -> Any:
    """Turn NumPy's float32 scalars into Python's floats, which let an array keep its type."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, np.floating) else value
