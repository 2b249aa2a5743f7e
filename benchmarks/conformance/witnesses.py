"""Engines asked for a file's answer, each in a process of its own: what crashes one ends one answer only."""

from __future__ import annotations

__all__ = ["Witness", "answer_by_torch", "lower"]

import contextlib
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from conformance.cases import NEWEST, Array, Case
from toolkit.durable import sha256_bytes
from toolkit.errors import first_line
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.references.operators.declared import DECLARED, classes_for
from toolkit.runtimes.references.widened import widen_model
from toolkit.runtimes.registry import open_runtime

TIMEOUT_S = 60
# An answer, or why there is none.
Answer = dict[str, Array] | str


class Witness:
    """One engine in a process that is started again after a crash.

    Args:
        name: what it is called.
        runtime: the runtime's name.
        widens: whether it is given the file with every number as float64.
        bare: whether it does without our operators.
        options: further settings of the runtime.
    """

    def __init__(self, name: str, runtime: str, *, widens: bool = False, bare: bool = False, **options: Any) -> None:
        self.name = name
        self._settings = RuntimeSettings(runtime=runtime, **options)
        self._changes = (widens, bare)
        self._process: Any = None

    def ask(self, case: Case) -> Answer:
        """Return the outputs by name, or one line that says why there are none."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._connection, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other, self._settings, *self._changes), daemon=True)
            self._process.start()
            other.close()
        try:
            self._connection.send((lower(case), case.feeds))
            if self._connection.poll(TIMEOUT_S):
                answer: Answer = self._connection.recv()
                return answer
            reason = f"no answer in {TIMEOUT_S} s"
        except (EOFError, OSError):
            reason = "the process crashed"
        self.close()
        return reason

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = None


def lower(case: Case) -> bytes:
    """Return the file, in the newest opset that engines open where a newer text differs from its in the types only."""
    domain = case.model.graph.node[0].domain
    if domain or case.opset <= NEWEST or len(case.model.graph.node) > 1:
        return case.model.SerializeToString()
    newer, older = (_text(case.op_type, version) for version in (case.opset, NEWEST))
    if newer != older:
        return case.model.SerializeToString()
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    model.opset_import[0].version = NEWEST
    return model.SerializeToString()


def _text(op_type: str, version: int) -> tuple[Any, ...]:
    if not onnx.defs.has(op_type, version):
        return (version,)
    schema = onnx.defs.get_schema(op_type, version)
    return schema.doc, [(name, item.description) for name, item in sorted(schema.attributes.items())]


def _serve(connection: Connection, settings: RuntimeSettings, widens: bool, bare: bool) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # engines write what they refuse
    if bare:
        classes_for({}, np.dtype(np.float32))
        DECLARED.clear()
    with contextlib.suppress(EOFError):
        while True:
            model, feeds = connection.recv()
            if widens:
                model = widen_model(onnx.ModelProto.FromString(model)).SerializeToString()
                feeds = {name: _widen(array) for name, array in feeds.items()}
            connection.send(_answer(model, feeds, settings))


def _widen(value: Any) -> Any:
    if isinstance(value, list):
        return [_widen(item) for item in value]
    is_narrow = getattr(value, "dtype", None) in (np.float32, np.float16)
    return np.asarray(value).astype(np.float64) if is_narrow else value


def _answer(model: bytes, feeds: dict[str, Array], settings: RuntimeSettings) -> Answer:
    source = ModelSource(model=model, sha256=sha256_bytes(model), path=Path("case.onnx"))
    try:
        with open_runtime(source, settings) as runtime:
            return {name: _keep(value) for name, value in runtime.compute(feeds).items()}
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is its answer
        return first_line(error)


def _keep(value: Any) -> Any:
    """Copy an answer out of an engine's memory; sequences and maps are the engine's own Python objects."""
    return value if value is None or isinstance(value, (list, dict)) else np.array(value)


def answer_by_torch(case: Case) -> Answer:
    """Return PyTorch's answer in float64, or why there is none."""
    if case.torch is None:
        return "has no such operator"
    import torch

    tensors = [None if array is None else torch.from_numpy(np.asarray(_widen(array))) for array in case.arrays]
    made = _call(case.torch, tensors)
    if isinstance(made, str):
        return made
    names = [value.name for value in case.model.graph.output]
    return dict(zip(names, (np.asarray(item) for item in (made if isinstance(made, tuple) else (made,))), strict=False))


def _call(function: Callable[..., Any], tensors: list[Any]) -> Any:
    try:
        return function(*tensors)
    except (RuntimeError, ValueError, TypeError) as error:
        return first_line(error)
