"""Files in 16 bits: an engine that rounds as their types say is as right as one that computes in float32."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from toolkit.onnx_file.source import ModelSource
from toolkit.parity.references.feeds import FeedsReference, compare_feeds
from toolkit.parity.references.made_feeds import FeedSet
from toolkit.parity.references.second_look import look_again
from toolkit.parity.references.witnesses import compute_feeds_reference
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.references.widened import RoundedRuntime
from toolkit.runtimes.workers.client import open_worker

LAYERS = 4
WIDTH = 32
GENERATOR = np.random.default_rng(11)
WEIGHTS = [(GENERATOR.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float16) for _ in range(LAYERS)]
ROWS = GENERATOR.standard_normal((3, 4, WIDTH)).astype(np.float32)
KINDS = {TensorProto.FLOAT16: np.dtype(np.float16), TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16)}


def half_file(kind: int = TensorProto.FLOAT16) -> ModelSource:
    """Float32 outside and 16 bits inside, as converters make them that keep the types of inputs and outputs."""
    nodes = [helper.make_node("Cast", ["x"], ["h0"], to=kind)]
    nodes += [helper.make_node("MatMul", [f"h{item}", f"w{item}"], [f"h{item + 1}"]) for item in range(LAYERS)]
    nodes.append(helper.make_node("Cast", [f"h{LAYERS}"], ["y"], to=TensorProto.FLOAT))
    edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", WIDTH]) for name in ("x", "y")]
    weights = [numpy_helper.from_array(array.astype(KINDS[kind]), f"w{index}") for index, array in enumerate(WEIGHTS)]
    graph = helper.make_graph(nodes, "half", edges[:1], edges[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return ModelSource.in_memory(model.SerializeToString(), Path("half.onnx"))


def computed_in_halves(rows: NDArray[np.float32], kind: int, weights: list[NDArray[np.float16]]) -> NDArray[np.float32]:
    """What the file says, word for word: every result rounded to 16 bits, the sums inside one wider."""
    values = rows.astype(KINDS[kind]).astype(np.float64)
    for array in weights:
        values = (values @ array.astype(KINDS[kind]).astype(np.float64)).astype(KINDS[kind]).astype(np.float64)
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def reference() -> FeedsReference:
    sets = tuple(FeedSet(f"call {index}", {"x": rows}) for index, rows in enumerate(ROWS))
    return compute_feeds_reference(half_file(), sets, precision="fp16", is_searched=False)


def test_an_engine_that_rounds_as_the_file_says_is_not_blamed(reference: FeedsReference) -> None:
    """ONNX Runtime computes in float32 on a CPU, and its error says nothing of the roundings that the file asks for."""
    looked = look_again(half_file(), reference, precision="fp16", opener=open_worker)
    for rows, before, after in zip(ROWS, reference.suites, looked.suites, strict=True):
        halves = {"y": computed_in_halves(rows, TensorProto.FLOAT16, WEIGHTS)}
        assert not compare_feeds(halves, before)
        assert compare_feeds(halves, after)
        assert compare_feeds({"y": before.outputs["y"].astype(np.float32)}, after)
    assert "16 bits" in looked.rule


def test_more_than_the_files_own_roundings_is_not_passed(reference: FeedsReference) -> None:
    looked = look_again(half_file(), reference, precision="fp16", opener=open_worker)
    for rows, entry in zip(ROWS, looked.suites, strict=True):
        halves = computed_in_halves(rows, TensorProto.FLOAT16, WEIGHTS)
        assert compare_feeds({"y": halves * np.float32(1.04)}, entry).failures
        assert compare_feeds({"y": halves[:, ::-1]}, entry).failures
        in_fewer_bits = [array.astype(ml_dtypes.bfloat16).astype(np.float16) for array in WEIGHTS]
        assert not compare_feeds({"y": computed_in_halves(rows, TensorProto.FLOAT16, in_fewer_bits)}, entry)
        twice = {"y": (entry.outputs["y"] + 2 * entry.bounds["y"]).astype(np.float32)}
        assert not compare_feeds(twice, entry)
        assert not compare_feeds(twice, entry).failures  # sums in 16 bits too may do that


@pytest.mark.parametrize("kind", KINDS)
def test_every_result_is_rounded_to_the_type_that_the_file_gives_it(kind: int) -> None:
    source = half_file(kind)
    with RoundedRuntime(source, RuntimeSettings(runtime="onnx-rounded")) as engine:
        answer = engine.run({"x": ROWS[0]})["y"]
    assert answer.dtype == np.float64
    assert np.array_equal(answer, computed_in_halves(ROWS[0], kind, WEIGHTS).astype(np.float64))


def test_what_is_wider_in_the_file_is_not_rounded() -> None:
    model = onnx.ModelProto.FromString(half_file().model)
    model.graph.node.append(helper.make_node("Mul", ["x", "x"], ["z"]))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", WIDTH]))
    source = ModelSource.in_memory(model.SerializeToString(), Path("half.onnx"))
    with RoundedRuntime(source, RuntimeSettings(runtime="onnx-rounded")) as engine:
        answer = engine.run({"x": ROWS[0]})["z"]
    assert np.array_equal(answer, ROWS[0].astype(np.float64) ** 2)
