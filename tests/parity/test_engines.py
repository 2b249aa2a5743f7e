"""Engines that share this environment, each in a worker of its own on files of the product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from broken_models import broken
from onnx import TensorProto, helper, numpy_helper
from tiny_models import build_model

from toolkit.card import Card
from toolkit.data.load import load_mini
from toolkit.durable import sha256_bytes
from toolkit.errors import ModelError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import record_reference
from toolkit.parity.config import ParityConfig
from toolkit.parity.matrix import judge_matrix
from toolkit.parity.recording import Recording
from toolkit.parity.report import ParityRow
from toolkit.parity.subject import require_providers
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.engines import torch_eager
from toolkit.runtimes.installed import list_runtimes
from toolkit.runtimes.registry import ENGINES, find_runtime, open_runtime
from toolkit.runtimes.workers.client import WorkerRuntime

# The others compile for seconds or need node: `make test-slow`.
QUICK = {"ort", "torch", "openvino", "opencv", "tract", "jax"}


def marked(names: list[str]) -> list[Any]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


OF_A_FILE = [name for name in ENGINES if not find_runtime(name).needs_run]


def source_of(model: bytes, run: Path | None = None) -> ModelSource:
    return ModelSource(model=model, sha256=sha256_bytes(model), path=Path("model.onnx"), run=run)


def require(name: str) -> str:
    row = next(row for row in list_runtimes() if row.runtime == name)
    if not row.installed:
        pytest.skip(f"runtime {name} is not installed: {row.install}")
    return name


@pytest.fixture(scope="module")
def proof(model_path: Path, trained_run: Path) -> tuple[Recording, Card]:
    """The reference of the product's file, computed once, and its card."""
    source, config = ModelSource.read(model_path, run=trained_run), ParityConfig(sample=40)
    card = require_providers(source, config).card
    assert card is not None
    return record_reference(source, load_mini(), config=config, card=card), card


def judge(name: str, source: ModelSource, proof: tuple[Recording, Card]) -> ParityRow:
    config = ParityConfig(
        runtimes=(require(name),), threads=(0,), optimisations=("all",), small_batches=(1, 3), small_count=4
    )
    recording, card = proof
    (row,) = judge_matrix(source, recording, config=config, precision=card.precision).rows
    return row


@pytest.mark.parametrize("name", marked(list(ENGINES)))
def test_engine_passes_with_the_products_file_at_every_batch_size(
    name: str, model_path: Path, trained_run: Path, proof: tuple[Recording, Card]
) -> None:
    row = judge(name, ModelSource.read(model_path, run=trained_run), proof)
    assert (row.status, row.reason, row.runtime) == ("pass", None, name)
    assert row.batch_sizes == (64, 1, 3)
    assert row.native_batch == (name not in {"plain-c", "ncnn"})
    assert row.version
    assert row.version[0].isdigit()
    # An engine that answers with the reference itself would be compared with itself.
    assert row.max_abs_logit_error


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_A_FILE)
def test_engine_fails_with_a_file_that_differs_from_its_run(
    name: str, model_path: Path, trained_run: Path, proof: tuple[Recording, Card]
) -> None:
    """What it answers is what the file holds, not something cached from another one."""
    model = broken(model_path.read_bytes(), "one weight changed by 1 %")
    row = judge(name, source_of(model, trained_run), proof)
    assert row.status == "fail"
    assert "`logits` differ" in str(row.reason)


@pytest.mark.parametrize("name", marked(OF_A_FILE))
def test_engine_refuses_an_operator_that_does_not_exist_in_one_line(name: str) -> None:
    model = onnx.ModelProto.FromString(build_model().SerializeToString())
    model.graph.node[2].op_type = "Gemmm"
    with pytest.raises(ModelError) as caught, _open(require(name), model) as worker:
        worker.run({"images": np.zeros((1, 8, 8), np.uint8)})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", marked(OF_A_FILE))
def test_engine_runs_a_file_with_two_inputs_and_one_output(name: str) -> None:
    inputs = [helper.make_tensor_value_info(key, TensorProto.FLOAT, ["n", 3]) for key in ("left", "right")]
    output = helper.make_tensor_value_info("total", TensorProto.FLOAT, ["n", 3])
    graph = helper.make_graph([helper.make_node("Sub", ["left", "right"], ["total"])], "two", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    left, right = np.arange(6, dtype=np.float32).reshape(2, 3), np.full((2, 3), 10, np.float32)
    with _open(require(name), model) as worker:
        outputs = worker.run({"right": right, "left": left})
    np.testing.assert_array_equal(outputs["total"], left - right)


def _half_gemm() -> onnx.ModelProto:
    """A float32 input cast to float16 after a first step, then a Gemm in float16: what `export --precision fp16` writes."""
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    weights = [
        numpy_helper.from_array(np.ones(shape, np.float16), name) for name, shape in (("w", (2, 3)), ("b", (2,)))
    ]
    nodes = [
        helper.make_node("Neg", ["x"], ["negative"]),
        helper.make_node("Cast", ["negative"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Gemm", ["half", "w", "b"], ["product"], transB=1),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(nodes, "half", inputs, [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_jax_casts_what_it_computed() -> None:
    with _open(require("jax"), _half_gemm()) as worker:
        outputs = worker.run({"x": np.array([[1, 2, 3]], np.float32)})
    np.testing.assert_array_equal(outputs["y"], [[-5, -5]])


def test_tract_says_why_it_refuses_a_gemm_in_float16() -> None:
    with (
        _open(require("tract"), _half_gemm()) as worker,
        pytest.raises(ModelError, match=r"Gemm .*: Output mismatch .*F16 got .*F32$"),
    ):
        worker.run({"x": np.array([[1, 2, 3]], np.float32)})


def _open(name: str, model: onnx.ModelProto) -> WorkerRuntime:
    return WorkerRuntime(source_of(model.SerializeToString()), RuntimeSettings(runtime=name))


@pytest.mark.parametrize(("precision", "is_own", "calls"), [("fp64", True, 1), ("fp64", False, 0), ("fp32", True, 0)])
def test_a_reference_alone_keeps_the_memory_that_it_frees_and_in_no_process_of_a_program(
    model_path: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch, precision: str, is_own: bool, calls: int
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(torch_eager, "keep_freed_memory", lambda: told.append(True))
    monkeypatch.setattr(torch_eager, "is_own_process", lambda: is_own)
    source = ModelSource.read(model_path, run=trained_run)
    with open_runtime(source, RuntimeSettings(runtime="torch", precision=precision)):
        assert len(told) == calls
