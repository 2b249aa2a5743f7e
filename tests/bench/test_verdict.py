"""Verdicts in words, the machine's own best, and the batch size from which another variant is to be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_samples import make_row
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from rich.text import Text
from strangers import STRANGERS

from toolkit.bench.measuring.machine_peak import MachinePeak, measure_peak
from toolkit.bench.report import BenchReport, BenchRow
from toolkit.bench.verdict import explain_rows, find_crossovers, share_of_peak
from toolkit.onnx_file.multiply_adds import count_multiply_adds
from toolkit.render.bench import render_bench
from toolkit.runtimes.workers.client import open_worker

FLOORS = (MachinePeak(provider="cpu", threads=0, side=512, matmul_gflops=100.0),)


def line(provider: str, fixed_ms: float, item_ms: float, batches: tuple[int, ...] = (1, 8, 64, 256)) -> list[BenchRow]:
    changes = {"provider_requested": provider, "provider_active": provider}
    return [make_row(batch, fixed_ms + item_ms * batch, **changes) for batch in batches]


# --- verdicts ----------------------------------------------------------------------------------------------------


@given(st.floats(0.001, 10), st.floats(0.001, 10))
def test_launch_bound_is_where_the_fixed_part_is_half_of_a_call(fixed: float, item: float) -> None:
    rows = line("cpu", fixed, item)
    verdicts = explain_rows(rows, ())
    for number, row in enumerate(rows):
        share = fixed / (fixed + item * (row.batch or 0))
        if abs(share - 0.5) > 0.01:
            assert verdicts[number].startswith("launch-bound") == (share > 0.5), (share, verdicts[number])


def test_figures_stand_behind_the_words() -> None:
    verdicts = explain_rows(line("cpu", 0.09, 0.03), ())
    assert verdicts[0] == "launch-bound: 75% of a call (0.09 ms) do not grow with the batch"
    assert verdicts[3] == "compute-bound: 99% of a call grow with the batch"


def test_compute_bound_states_the_share_of_the_machines_own_product() -> None:
    # 1 million multiply-adds an item, 0.04 ms each: 50 GFLOP/s of 100.
    rows = [make_row(batch, 0.04 * batch, multiply_adds=1_000_000 * batch) for batch in (8, 64)]
    assert share_of_peak(rows[0], FLOORS) == pytest.approx(0.5)
    assert explain_rows(rows, FLOORS)[1] == "compute-bound: 50% of this machine's own float32 matrix product"


def test_copies_that_are_most_of_a_call_are_what_binds_it() -> None:
    phases = {"copy_in": 0.5, "compute": 0.3, "copy_out": 0.1, "host": 0.1}
    rows = [make_row(batch, 1.0 * batch, phases_ms=phases) for batch in (1, 8)]
    assert explain_rows(rows, ())[0] == "copy-bound: 60% of a call are copies to the device and back"


def test_one_batch_size_tells_nothing_unless_the_machine_is_used_well() -> None:
    assert explain_rows([make_row(1, 1.0, multiply_adds=1_000_000)], FLOORS) == {}
    assert explain_rows([make_row(1, 0.03, multiply_adds=1_000_000)], FLOORS)[0].startswith("compute-bound: 67%")


def test_rows_without_figures_have_no_verdict_and_no_share() -> None:
    failed = make_row(1, 1.0, status="fail")
    other = make_row(8, 1.0, threads=4, multiply_adds=8)
    assert explain_rows([failed], FLOORS) == {}
    assert share_of_peak(other, FLOORS) is None
    assert share_of_peak(make_row(8, 1.0), FLOORS) is None


# --- crossovers --------------------------------------------------------------------------------------------------


def test_crossover_is_named_with_the_batch_at_which_the_lines_meet() -> None:
    # 0.1 + 0.1 n against 1.0 + 0.01 n: equal at n = 10.
    rows = line("cpu", 0.1, 0.1) + line("cuda", 1.0, 0.01)
    (text,) = find_crossovers(rows)
    assert text.startswith("on this machine use ort on cpu below batch ")
    assert text.endswith("ort on cuda from there on (measured at 8 and 64)")
    assert 8 < int(text.split("batch ")[1].split(",")[0]) < 20


def test_variant_that_always_leads_is_said_so() -> None:
    rows = line("cpu", 1.0, 0.1) + line("cuda", 0.1, 0.01)
    assert find_crossovers(rows) == ["soonest at every batch size: ort on cuda"]


def test_intervals_that_overlap_change_nothing() -> None:
    cpu = [make_row(batch, 1.0 * batch, half_ms=0.5 * batch) for batch in (1, 8)]
    changes = {"provider_requested": "cuda", "provider_active": "cuda"}
    cuda = [make_row(1, 1.2, half_ms=0.5, **changes), make_row(8, 7.0, half_ms=3.0, **changes)]
    assert find_crossovers(cpu + cuda) == ["soonest at every batch size: ort on cpu"]


def test_precisions_are_not_held_against_one_another() -> None:
    rows = line("cpu", 0.1, 0.1) + [
        make_row(row.batch or 1, (row.latency_ms or {})["p50"] or 0, precision="int8")
        for row in line("cpu", 0.01, 0.01)
    ]
    assert find_crossovers(rows) == []


def test_one_variant_needs_no_advice() -> None:
    assert find_crossovers(line("cpu", 0.1, 0.1)) == []


# --- the work of a model, the best of a machine ------------------------------------------------------------------


def test_tutorial_network_has_the_multiply_adds_that_its_layers_have(model_path: Path) -> None:
    from toolkit.card import read_card
    from toolkit.onnx_file.vetting import vet_model

    data = model_path.read_bytes()
    card = read_card(vet_model(data, name="m", allow_foreign=True)["metadata"], name="m")
    one = count_multiply_adds(data, {"images": (1, 28, 28)}).number
    assert one
    assert count_multiply_adds(data, {"images": (64, 28, 28)}) == (64 * one, "")
    assert card.network["preset"]


def _model(nodes: list[Any], inputs: dict[str, list[Any]], weights: dict[str, np.ndarray]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


@pytest.mark.parametrize(
    ("node", "weights", "shape", "expected"),
    [
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (16, 8), (3, 16), 3 * 16 * 8),
        (helper.make_node("Gemm", ["x", "w"], ["y"]), (16, 8), (3, 16), 3 * 16 * 8),
        (helper.make_node("Gemm", ["x", "w"], ["y"], transB=1), (8, 16), (3, 16), 3 * 16 * 8),
        (helper.make_node("Conv", ["x", "w"], ["y"]), (5, 2, 3, 3), (1, 2, 8, 8), 5 * 6 * 6 * 2 * 9),
        (helper.make_node("Conv", ["x", "w"], ["y"], group=2), (4, 1, 3, 3), (1, 2, 8, 8), 4 * 6 * 6 * 9),
        (helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2]), (3, 5, 2, 2), (1, 3, 8, 8), 192 * 20),
        (helper.make_node("RNN", ["x", "w", "r"], ["y"], hidden_size=4), (1, 4, 3), (7, 2, 3), 14 * (12 + 16)),
        (helper.make_node("GRU", ["x", "w", "r"], ["y"], hidden_size=4), (1, 12, 3), (7, 2, 3), 14 * (36 + 48)),
        (helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=4), (1, 16, 3), (7, 2, 3), 14 * (48 + 64)),
        (helper.make_node("Einsum", ["x", "w"], ["y"], equation="b i j, j k -> b i k"), (6, 5), (2, 4, 6), 240),
        (helper.make_node("Einsum", ["x", "w"], ["y"], equation="...ij,...jk->...ik"), (6, 5), (2, 4, 6), 240),
    ],
)
def test_multiply_adds_of_an_operator(
    node: Any, weights: tuple[int, ...], shape: tuple[int, ...], expected: int
) -> None:
    arrays = {"w": np.ones(weights, np.float32)}
    if "r" in node.input:
        arrays["r"] = np.ones((1, weights[1], 4), np.float32)
    model = _model([node], {"x": ["batch", *shape[1:]]}, arrays)
    assert count_multiply_adds(model, {"x": shape}) == (expected, "")


def test_model_without_products_is_not_counted() -> None:
    relu = _model([helper.make_node("Relu", ["x"], ["y"])], {"x": ["batch", 4]}, {})
    assert count_multiply_adds(relu, {"x": (2, 4)}) == (None, "it has no convolution and no matrix product")


PRODUCT = helper.make_node("MatMul", ["x", "w"], ["y"])


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (helper.make_node("If", ["go"], ["z"], then_branch=helper.make_graph([PRODUCT], "t", [], [])),
         "MatMul in a sub-graph or a local function is not counted"),
        (helper.make_node("DFT", ["x"], ["z"]), "DFT is not counted"),
        (helper.make_node("MatMul", ["x", "w"], ["z"], domain="mine"), "mine.MatMul is not counted"),
        (helper.make_node("Einsum", ["x", "x", "x"], ["z"], equation="ij,jk,kl->il"),
         "the file does not tell how much Einsum has to multiply"),
        (helper.make_node("LSTM", ["x", "w", "w", "", "lengths"], ["z"]),
         "the file does not tell how much LSTM has to multiply"),
        (helper.make_node("MatMul", ["unknown", "w"], ["z"]), "the file does not tell how much MatMul has to multiply"),
    ],
    ids=lambda item: item if isinstance(item, str) else item.op_type,
)  # fmt: skip
def test_operator_that_cannot_be_counted_leaves_the_whole_without_a_count(node: Any, reason: str) -> None:
    """A count of the product alone would pass for the work of the whole file."""
    model = _model([PRODUCT, node], {"x": ["batch", 4]}, {"w": np.ones((4, 4), np.float32)})
    assert count_multiply_adds(model, {"x": (4, 4)}) == (None, reason)


def test_reason_for_an_empty_share_stands_under_the_table() -> None:
    rows = tuple(make_row(batch, 1.0, samples=9, uncounted="DFT is not counted") for batch in (1, 8))
    report = BenchReport(command="", environment={}, model={"path": "m.onnx"}, rows=rows)
    told = [str(part) for part in render_bench(report) if isinstance(part, Text)]
    assert told.count("machine used is empty: DFT is not counted") == 1


@pytest.mark.parametrize(
    ("name", "shapes", "told"),
    [
        ("convolution", {"x": (2, 3, 16, 16)}, (2 * 8 * 16 * 16 * 27, "")),
        ("token ids", {"ids": (2, 5)}, (2 * 2 * 5 * 5 * 16, "")),
        ("loop", {}, (None, "MatMul in a sub-graph or a local function is not counted")),
        ("own function", {"x": (3, 5)}, (3 * 5 * 2, "")),
        ("foreign domain", {}, (None, "com.microsoft.FusedMatMul is not counted")),
    ],
)
def test_strangers_file_is_counted_or_says_why_not(name: str, shapes: dict[str, Any], told: tuple[Any, str]) -> None:
    assert count_multiply_adds(STRANGERS[name]().SerializeToString(), shapes) == told


def test_real_floor_is_measured_and_a_provider_without_one_says_why() -> None:
    floor = measure_peak("cpu", 1, opener=open_worker, timeout_s=600)
    assert floor.matmul_gflops is not None
    assert 0.5 < floor.matmul_gflops < 100_000
    assert floor.copy_gb_per_s is not None
    missing = measure_peak("tensorrt", 1, opener=open_worker, timeout_s=600)
    if missing.matmul_gflops is None:
        assert "tensorrt" in missing.reason
