"""ONNX's own backend cases, which come with its wheel: files, inputs and the outputs that it states."""

from __future__ import annotations

__all__ = ["FAMILY", "make_onnx_cases"]

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

from conformance.cases import Case

FAMILY = "onnx"
# What these answer is drawn by chance.
CHANCE = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
# `real` is left out: its nine networks are downloads.
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
# Stated answers are computed in the file's own types, by other formulas than an engine's.
TOLERANCES = {onnx.TensorProto.FLOAT16: 5e-3, onnx.TensorProto.BFLOAT16: 5e-2}
TOLERANCE = 1e-4


def make_onnx_cases() -> Iterator[Case]:
    """Yield each case of the installed wheel with its first set of inputs, but for those that chance decides."""
    for kind in KINDS:
        for test in load_model_tests(kind=kind):
            if test.model is None:
                folder = Path(test.model_dir)
                model = onnx.load(folder / "model.onnx")
                inputs, outputs = (_read(folder / "test_data_set_0", role) for role in ("input", "output"))
            else:
                model, (inputs, outputs) = test.model, test.data_sets[0]
            if any(node.op_type in CHANCE for node in model.graph.node):
                continue
            inputs, outputs = [_plain(item) for item in inputs], [_plain(item) for item in outputs]
            yield _make(f"{kind} {test.name}", model, inputs, outputs)


def _make(name: str, model: onnx.ModelProto, inputs: list[Any], outputs: list[Any]) -> Case:
    constants = {item.name for item in model.graph.initializer}
    fed = [item.name for item in model.graph.input if item.name not in constants]
    kinds = [item.type.tensor_type.elem_type for item in (*model.graph.input, *model.graph.output)]
    return Case(
        name=name,
        op_type=model.graph.node[0].op_type,
        opset=model.opset_import[0].version,
        model=model,
        feeds=dict(zip(fed, inputs, strict=False)),
        expected={item.name: value for item, value in zip(model.graph.output, outputs, strict=False)},
        tolerance=max(TOLERANCES.get(kind, TOLERANCE) for kind in kinds),
        family=FAMILY,
    )


def _plain(value: Any) -> Any:
    """Return what a case holds as a message as an array."""
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _read(folder: Path, role: str) -> list[Any]:
    files = sorted(folder.glob(f"{role}_*.pb"), key=lambda path: int(path.stem.rpartition("_")[2]))
    return [numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())) for path in files]
