"""FAULTS 27-30: hostile and broken model files go through every command and end in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from toolkit.card import CARD_KEY
from toolkit.errors import ModelError
from toolkit.runtimes.source import ModelSource
from toolkit.runtimes.vetting import vet_model

Change = Callable[[onnx.ModelProto], None]


def wrap(nodes: list[onnx.NodeProto], *, opset: int = 18, functions: list[onnx.FunctionProto] | None = None) -> bytes:
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 28, 28])
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10]),
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]),
    ]
    graph = helper.make_graph(nodes, "g", [images], outputs)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("mine", 1)][: 2 if functions else 1]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions or [])
    model.ir_version = 10
    return model.SerializeToString()


def nested_functions(depth: int) -> bytes:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    functions = [
        helper.make_function(
            "mine", f"f{level}", ["x"], ["y"], [helper.make_node(f"f{level + 1}", ["x"], ["y"], domain="mine")], opsets
        )
        for level in range(depth)
    ]
    functions.append(
        helper.make_function("mine", f"f{depth}", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], opsets)
    )
    return wrap([helper.make_node("f0", ["images"], ["logits"], domain="mine")], functions=functions)


def huge_tensor() -> bytes:
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([10**10], np.int64))),
        helper.make_node("ConstantOfShape", ["shape"], ["logits"]),
    ]
    return wrap(nodes)


def external(location: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location

    return change


def lying_dims(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[:] = [10**10]


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "pixels"
    for node in model.graph.node:
        node.input[:] = ["pixels" if name == "images" else name for name in node.input]


def fixed_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def edit_card(**changes: object) -> Change:
    def change(model: onnx.ModelProto) -> None:
        entry = next(item for item in model.metadata_props if item.key == CARD_KEY)
        entry.value = json.dumps({**json.loads(entry.value), **changes})

    return change


def no_card(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


CHANGES: dict[str, Change] = {
    "external data beside": external("weights.bin"),
    "external data above": external("../weights.bin"),
    "external data absolute": external("/etc/passwd"),
    "dims of 10^10 elements": lying_dims,
    "unknown operator": lambda model: setattr(model.graph.node[0], "op_type", "Nonsense"),
    "foreign domain": lambda model: setattr(model.graph.node[0], "domain", "com.nobody"),
    "opset 999": lambda model: setattr(model.opset_import[0], "version", 999),
    "no opset": lambda model: model.opset_import.pop(),
    "other input name": rename_input,
    "other input type": lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", TensorProto.FLOAT),
    "fixed batch": fixed_batch,
    "no card": no_card,
    "card of other classes": edit_card(classes=["a", "b"]),
    "card of another size": edit_card(input={"height": 14, "width": 14, "channels": 1}),
    "card that is no card": edit_card(schema="other"),
}
FILES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"this is not a model, it is a sentence\n" * 20,
    "10^10 elements in 50 bytes": huge_tensor,
    "thousands of nested functions": lambda: nested_functions(3000),
    "zero-stride convolution": lambda: wrap(
        [helper.make_node("Conv", ["images", "images"], ["logits"], strides=[0, 0], kernel_shape=[1, 1])]
    ),
}


def write_hostile(name: str, good: bytes, path: Path) -> None:
    if name in FILES:
        path.write_bytes(FILES[name]())
    elif name == "truncated":
        path.write_bytes(good[: len(good) // 2])
    else:
        model = onnx.ModelProto.FromString(good)
        CHANGES[name](model)
        path.write_bytes(model.SerializeToString())


ALL = [*FILES, "truncated", *CHANGES]
# One command for each file keeps the quick suite quick; the slow one takes the whole product.
COMMANDS = ["selftest", "predict", "parity", "inspect"]
QUICK = [(name, COMMANDS[number % 3]) for number, name in enumerate(ALL)]
# A stranger's file is no broken file to `inspect` and `bench`: they describe and measure what an engine opens.
OPENS_ANYWAY = {
    "foreign domain",
    "other input name",
    "fixed batch",
    "no card",
    *(name for name in CHANGES if "card of" in name or "no card" in name),
}


def is_sound(name: str, command: str) -> bool:
    """Whether a file is nothing worse than a stranger's, which is judged by itself."""
    return name == "no card" and command in {"selftest", "parity"}


def run_command(command: str, path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = [command, str(path)]
    if command == "predict":
        Image.fromarray(np.zeros((28, 28), np.uint8)).save(folder / "digit.png")
        arguments.append(str(folder / "digit.png"))
    environment = {**os.environ, "TOOLKIT_ARTIFACTS": str(folder / "out")}
    return subprocess.run(
        [sys.executable, "-m", "toolkit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
        timeout=60,
    )


def check_refusal(done: subprocess.CompletedProcess[str], *, codes: set[int]) -> None:
    assert done.returncode in codes, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "bug" not in errors[0]


@pytest.mark.parametrize(("name", "command"), QUICK)
def test_a_hostile_file_ends_in_one_line(name: str, command: str, model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile.onnx"
    write_hostile(name, model_path.read_bytes(), path)
    if is_sound(name, command):
        assert run_command(command, path, tmp_path).returncode == 0
    else:
        check_refusal(run_command(command, path, tmp_path), codes={4})


@pytest.mark.slow
@pytest.mark.parametrize("command", [*COMMANDS, "bench"])
@pytest.mark.parametrize("name", ALL)
def test_every_command_survives_every_hostile_file(name: str, command: str, model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile.onnx"
    write_hostile(name, model_path.read_bytes(), path)
    done = run_command(command, path, tmp_path)
    assert "Traceback" not in done.stderr
    assert "bug in toolkit" not in done.stderr
    codes = {0} if is_sound(name, command) else {4}
    assert done.returncode in ({0, 1, 2, 4} if command in {"inspect", "bench"} else codes)


def test_external_data_is_never_opened(model_path: Path, tmp_path: Path) -> None:
    for name in ("external data beside", "external data above"):
        path = tmp_path / "model.onnx"
        write_hostile(name, model_path.read_bytes(), path)
        with pytest.raises(ModelError, match="external data is never opened"):
            vet_model(path.read_bytes(), name="model.onnx", allow_foreign=True)


def test_external_data_inside_a_nested_graph_is_found() -> None:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "hidden")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "x"
    branch = helper.make_graph([helper.make_node("Identity", ["hidden"], ["out"])], "b", [], [], [tensor])
    node = helper.make_node("If", ["images"], ["logits"], then_branch=branch, else_branch=branch)
    with pytest.raises(ModelError, match="hidden"):
        vet_model(wrap([node]), name="m", allow_foreign=True)
    constant = helper.make_node("Constant", [], ["logits"])
    attribute = constant.attribute.add()
    attribute.name, attribute.type = "value", onnx.AttributeProto.TENSOR
    attribute.t.CopyFrom(tensor)
    with pytest.raises(ModelError, match="hidden"):
        vet_model(wrap([constant]), name="m", allow_foreign=True)


def test_what_runs_is_the_bytes_that_were_hashed(model_path: Path, tmp_path: Path) -> None:
    """FAULTS 30: a file swapped after it was read changes nothing."""
    from toolkit.evaluation.selftest import run_selftest
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.contract import require_contract
    from toolkit.runtimes.process import WorkerRuntime

    path = tmp_path / "model.onnx"
    path.write_bytes(model_path.read_bytes())
    source = ModelSource.read(path)
    path.write_bytes(b"swapped")
    with WorkerRuntime(source, RuntimeSettings()) as runtime:
        card = require_contract(runtime.info, name="model.onnx")
        assert run_selftest(runtime, card).passed  # type: ignore[arg-type]  # a worker has the face of a runtime


@pytest.mark.parametrize("kind", ["folder", "missing", "empty"])
def test_a_path_that_is_no_file_is_a_model_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    with pytest.raises(ModelError):
        ModelSource.read(path)
