"""Which operators an installed engine is known not to have, by its own tables; the file itself is opened by none.

Run as a module it is the helper that asks them: an engine's table is native code, and its end is nobody's.
"""

from __future__ import annotations

__all__ = ["EngineTable", "TableHelper", "judge_by_tables"]

import importlib.util
import os
import re
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple

from toolkit.closing import Closing
from toolkit.errors import WorkerError, first_line
from toolkit.runtimes.file_facts import FileFacts, OperatorUse
from toolkit.runtimes.frames import read_frame, write_frame
from toolkit.runtimes.helper import Helper
from toolkit.runtimes.helper_start import READY
from toolkit.runtimes.registry import ENGINES, RUNTIMES

TIMEOUT_S = 20.0
NO_TABLE = "it keeps no table that can be read without opening the file"
# What no engine has, put behind the operators that OpenVINO is asked for: it then lists what it lacks, and stops.
NOWHERE = ("no.such", "Nothing")
# Of an operator that the standard does not have, so many inputs are shown.
MOST_INPUTS = 16
LACKED_BY_OPENVINO = re.compile(r"No conversion rule found for operations: (.*)")


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


class TableHelper(Closing):
    """The helper that reads tables; it imports the engines while its parent does something else.

    Raises:
        HelperStartError: the system does not start it.
    """

    def __init__(self) -> None:
        self._helper = Helper("toolkit.runtimes.engine_tables", title="the reader of the engines' tables")

    def judge(self, facts: FileFacts) -> tuple[EngineTable, ...]:
        """Return what every installed engine that opens files is known not to have, in the registry's order.

        Args:
            facts: of the file.
        """
        uses = [use for use in facts.operators if not use.is_local]
        try:
            known = {table.runtime: table for table in self._ask(uses)}
        except WorkerError as error:
            known = {name: EngineTable(name, "", None, f"its table could not be read: {error}") for name in TABLES}
        names = (name for name in ENGINES if not RUNTIMES[name].needs_run and _is_installed(RUNTIMES[name].package))
        return tuple(known.get(name) or EngineTable(name, "", None, NO_TABLE) for name in names)

    def close(self) -> None:
        """End it."""
        self._helper.close()

    def _ask(self, uses: Iterable[OperatorUse]) -> tuple[EngineTable, ...]:
        self._helper.await_ready()
        frame = None
        with self._helper.limit(TIMEOUT_S):
            try:
                write_frame(self._helper.requests, {"uses": list(uses)})
                frame = read_frame(self._helper.replies)
            except (OSError, EOFError, ValueError):
                frame = None
        if frame is None:
            raise WorkerError(f"the helper {self._helper.describe_end()}", log=self._helper.log)
        return tuple(EngineTable(*row) for row in frame[0]["tables"])


def judge_by_tables(facts: FileFacts) -> tuple[EngineTable, ...]:
    """Ask once; as `TableHelper.judge`."""
    with TableHelper() as helper:
        return helper.judge(facts)


def _is_installed(package: str) -> bool:
    try:
        return bool(package) and importlib.util.find_spec(package) is not None
    except ImportError:  # the package that it would lie in is not here
        return False


def _judge_ort(ort: ModuleType, uses: list[OperatorUse]) -> tuple[str, ...]:
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


def _judge_openvino(openvino: ModuleType, uses: list[OperatorUse]) -> tuple[str, ...]:
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


def _judge_evaluator(onnx: ModuleType, uses: list[OperatorUse]) -> tuple[str, ...]:
    """By ONNX's own evaluator, which loads the class of an operator, or the body that the standard gives it."""
    from onnx import reference

    def has(use: OperatorUse) -> bool:
        if _has_body(use):
            return True
        modules = {
            "": "ops",
            "ai.onnx.ml": "ops.aionnxml",
            "ai.onnx.preview": "ops.aionnx_preview",
            "ai.onnx.preview.training": "ops.aionnx_preview_training",
        }
        if use.domain not in modules:
            return False
        module = importlib.import_module(f"{reference.__name__}.{modules[use.domain]}")
        try:
            module.load_op(use.domain, use.name, use.version)
        except Exception:  # noqa: BLE001 - it raises ValueError, KeyError, RuntimeError and NotImplementedError
            return False
        return True

    del onnx
    return tuple(_with_opset(use) for use in uses if not has(use))


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


Judge = Callable[[ModuleType, list[OperatorUse]], tuple[str, ...]]
TABLES: dict[str, Judge] = {"ort": _judge_ort, "openvino": _judge_openvino, "onnx": _judge_evaluator}


def _judge_one(name: str, uses: list[OperatorUse]) -> EngineTable:
    package = RUNTIMES[name].package
    try:
        engine = importlib.import_module(package)
        version = str(getattr(engine, "__version__", "")).split("-")[0]
        return EngineTable(name, version, TABLES[name](engine, uses))
    except Exception as error:  # noqa: BLE001 - whatever an engine raises, what it has is then not known
        return EngineTable(name, "", None, f"its table could not be read: {first_line(error)}")


def main() -> None:
    """Import the engines, say that it is ready, answer one frame."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # engines print to stdout; the frame must stay clean
    here = [name for name in TABLES if _is_installed(RUNTIMES[name].package)]
    for name in here:
        _judge_one(name, [])
    answers.write(READY)
    answers.flush()
    frame = read_frame(requests)
    if frame is not None:
        uses = [OperatorUse(*use) for use in frame[0]["uses"]]
        write_frame(answers, {"tables": [_judge_one(name, uses) for name in here]})


if __name__ == "__main__":
    main()
