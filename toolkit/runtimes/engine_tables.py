"""Which operators the installed engines are known not to have, by their own tables; none opens the file itself.

Run as a module this is the helper process that reads them: a table is native code, and may take its process with it.
"""

from __future__ import annotations

__all__ = ["NO_TABLE", "TABLES", "EngineTable", "TableReader"]

import importlib
import os
import re
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple

from toolkit.closing import Closing
from toolkit.errors import WorkerError, first_line
from toolkit.onnx_file.facts import FileFacts, OperatorUse
from toolkit.runtimes.registry import ENGINES, RUNTIMES, is_importable
from toolkit.runtimes.workers.frames import read_frame, write_frame
from toolkit.runtimes.workers.helper import Helper
from toolkit.runtimes.workers.helper_start import READY
from toolkit.runtimes.workers.time_limits import TABLES_S

# What no engine has, put behind the operators that OpenVINO is asked for: it then lists what it lacks, and stops.
NOWHERE = ("no.such", "Nothing")
# Where ONNX's evaluator keeps its classes, by domain.
EVALUATED = {
    "": "ops",
    "ai.onnx.ml": "ops.aionnxml",
    "ai.onnx.preview": "ops.aionnx_preview",
    "ai.onnx.preview.training": "ops.aionnx_preview_training",
}
# Of an operator that the standard does not have, so many inputs are shown.
MOST_INPUTS = 16
LACKED_BY_OPENVINO = re.compile(r"No conversion rule found for operations: (.*)")
NO_TABLE = "it keeps no table that can be read without opening the file"


class EngineTable(NamedTuple):
    """What one engine's table says of a file.

    Attributes:
        runtime: its name in the registry.
        version: the engine's own; empty where its table was not read.
        lacks: operators that it does not have, with their opset; None where that is not known.
        reason: why it is not known; empty where it is.
    """

    runtime: str
    version: str
    lacks: tuple[str, ...] | None
    reason: str = ""


class TableReader(Closing):
    """Reads every table in a helper process, which imports the engines while its parent does something else.

    Raises:
        HelperStartError: the system does not start it.
    """

    def __init__(self) -> None:
        self._helper = Helper("toolkit.runtimes.engine_tables", title="the reader of the engines' tables")

    def read(self, facts: FileFacts) -> tuple[EngineTable, ...]:
        """Return what every installed engine that opens files is known not to have, in the registry's order.

        Args:
            facts: of the file.
        """
        uses = [use for use in facts.operators if not use.is_local]
        try:
            known = {table.runtime: table for table in self._ask(uses)}
        except WorkerError as error:
            known = {name: EngineTable(name, "", None, f"its table could not be read: {error}") for name in TABLES}
        names = (name for name in ENGINES if not RUNTIMES[name].needs_run and is_importable(RUNTIMES[name].package))
        return tuple(known.get(name) or EngineTable(name, "", None, NO_TABLE) for name in names)

    def close(self) -> None:
        """End it."""
        self._helper.close()

    def _ask(self, uses: Iterable[OperatorUse]) -> tuple[EngineTable, ...]:
        answer, _ = self._helper.ask({"uses": list(uses)}, seconds=TABLES_S, words="the helper {end}")
        return tuple(EngineTable(*row) for row in answer["tables"])


def _lacked_by_ort(ort: ModuleType, uses: list[OperatorUse]) -> tuple[str, ...]:
    """By ONNX Runtime's schemas and the CPU provider's kernels.

    No kernel is needed for a constant, for what has a body of other operators, and, for all that is told, for an
    operator of its own: some have bodies that it does not list.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    del ort
    since: dict[tuple[str, str], list[int]] = {}
    for schema in state.get_all_operator_schema():
        since.setdefault((schema.domain, schema.name), []).append(schema.since_version)
    newest = max(version for (domain, _), versions in since.items() for version in versions if not domain)
    kernels: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for kernel in state.get_registered_ep_kernel_defs("CPUExecutionProvider"):
        kernels.setdefault((kernel.domain, kernel.op_name), []).append(kernel.version_range)
    lacks = [f"opset {use.version}" for use in uses if not use.domain and use.version and use.version > newest]
    for use in uses:
        versions = [number for number in since.get(use[:2], []) if number <= (use.version or 0)]
        ranges = kernels.get(use[:2], [])
        has_kernel = bool(versions) and any(low <= max(versions) <= high for low, high in ranges)
        needs_none = use.domain == "com.microsoft" or use.name == "Constant" or _has_body(use)
        if not versions or not (has_kernel or needs_none):
            lacks.append(_with_opset(use))
    return tuple(dict.fromkeys(lacks))


def _lacked_by_openvino(openvino: ModuleType, uses: list[OperatorUse]) -> tuple[str, ...]:
    """By its ONNX frontend, shown one node of each operator, made here, with inputs of which nothing is known."""
    try:
        openvino.Core().read_model(_show_each(uses))
    except RuntimeError as error:
        found = LACKED_BY_OPENVINO.search(str(error))
        if found is None:
            raise
        # It writes `Det-18` for the default domain and `com.microsoft.Gelu` for others.
        missing = {name.rsplit("-", 1)[0] for name in found[1].split(", ")}
        return tuple(_with_opset(use) for use in uses if use.full_name in missing)
    raise ValueError("OpenVINO reads a file with an operator that there is not")


def _lacked_by_evaluator(onnx: ModuleType, uses: list[OperatorUse]) -> tuple[str, ...]:
    """By the evaluator: our operators, its own classes, and the bodies that the standard gives to others."""
    import numpy as np

    from toolkit.runtimes.references.operators.declared import classes_for

    del onnx
    ours = {
        (domain, item.__name__, version)
        for domain, version in {(use.domain, use.version or 1) for use in uses}
        for item in classes_for({domain: version}, np.dtype(np.float32))
    }
    has = [use[:3] in ours or _has_body(use) or _is_evaluated(use) for use in uses]
    return tuple(_with_opset(use) for use, here in zip(uses, has, strict=True) if not here)


FindLacking = Callable[[ModuleType, list[OperatorUse]], tuple[str, ...]]
TABLES: dict[str, FindLacking] = {"ort": _lacked_by_ort, "openvino": _lacked_by_openvino, "onnx": _lacked_by_evaluator}


def _read_table(name: str, uses: list[OperatorUse]) -> EngineTable:
    package = RUNTIMES[name].package
    try:
        engine = importlib.import_module(package)
        version = str(getattr(engine, "__version__", "")).split("-")[0]
        return EngineTable(name, version, TABLES[name](engine, uses))
    except Exception as error:  # noqa: BLE001 - whatever an engine raises, what it has is then not known
        return EngineTable(name, "", None, f"its table could not be read: {first_line(error)}")


def _show_each(uses: list[OperatorUse]) -> bytes:
    from onnx import TensorProto, helper

    imports = {"": 1, NOWHERE[0]: 1}
    for use in uses:
        imports[use.domain] = max(use.version or 1, imports.get(use.domain, 1))
    nodes = [
        helper.make_node(
            use.name, [f"x{index}" for index in range(_least_inputs(use))], [f"y{number}"], domain=use.domain
        )
        for number, use in enumerate(uses)
    ]
    nodes.append(helper.make_node(NOWHERE[1], ["x0"], ["z"], domain=NOWHERE[0]))
    most = max(1, *(len(node.input) for node in nodes))
    inputs = [helper.make_tensor_value_info(f"x{index}", TensorProto.FLOAT, None) for index in range(most)]
    names = [node.output[0] for node in nodes]
    graph = helper.make_graph(
        nodes, "each", inputs, [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in imports.items()]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def _least_inputs(use: OperatorUse) -> int:
    schema = _find_schema(use)
    return max(1, min(use.inputs, MOST_INPUTS) if schema is None else schema.min_input)


def _is_evaluated(use: OperatorUse) -> bool:
    """Whether ONNX's evaluator has a class for an operator."""
    if use.domain not in EVALUATED:
        return False
    module = importlib.import_module(f"onnx.reference.{EVALUATED[use.domain]}")
    try:
        module.load_op(use.domain, use.name, use.version)
    except Exception:  # noqa: BLE001 - it raises ValueError, KeyError, RuntimeError and NotImplementedError
        return False
    return True


def _find_schema(use: OperatorUse) -> Any:
    import onnx

    try:
        return onnx.defs.get_schema(use.name, use.version or 1, use.domain)
    except onnx.defs.SchemaError:
        return None


def _has_body(use: OperatorUse) -> bool:
    """Whether the standard gives the operator as a function of others, which an engine can put in its place."""
    schema = _find_schema(use)
    return schema is not None and bool(schema.has_function or schema.has_context_dependent_function)


def _with_opset(use: OperatorUse) -> str:
    return f"{use.full_name} (opset {use.version})" if use.version is not None else f"{use.full_name} (not imported)"


def main() -> None:
    """Import the engines, say that it is ready, answer one frame."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # engines print to stdout; the frame must stay clean
    here = [name for name in TABLES if is_importable(RUNTIMES[name].package)]
    for name in here:
        _read_table(name, [])  # all that takes long, before there is a file to ask about
    answers.write(READY)
    answers.flush()
    frame = read_frame(requests)
    if frame is not None:
        uses = [OperatorUse(*use) for use in frame[0]["uses"]]
        write_frame(answers, {"tables": [_read_table(name, uses) for name in here]})


if __name__ == "__main__":
    main()
