"""The bound: known before any engine runs, wide enough for every order of additions, narrow enough to see a fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from toolkit.data.mini_subset import load_mini
from toolkit.errors import ModelError
from toolkit.runtimes.onnx_float64 import evaluate_with_rounding
from toolkit.runtimes.rounding import BOUND_FACTOR, UNIT_ROUNDOFF, Rounded, bound_from_sigma, dense, max_pool, relu

U = UNIT_ROUNDOFF["fp32"]


def exact(value: np.ndarray) -> Rounded:
    return Rounded(value.astype(np.float64), np.zeros(value.shape))


@settings(max_examples=20, deadline=None)
@given(length=st.sampled_from([25, 800, 1024]), shift=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 10_000))
def test_every_order_of_float32_additions_stays_within_the_bound(length: int, shift: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    row = (random.standard_normal((1, length)) + shift).astype(np.float32)
    weight = random.standard_normal((length, 4)).astype(np.float32)
    predicted = dense(exact(row), weight.astype(np.float64), None, roundoff=U)
    for _ in range(8):
        order = random.permutation(length)
        products = row[0, order, None] * weight[order]
        one_by_one = np.zeros(4, np.float32)
        for product in products:
            one_by_one = one_by_one + product
        assert (np.abs(one_by_one - predicted.value[0]) <= BOUND_FACTOR * np.sqrt(predicted.variance[0])).all()


def test_the_bound_is_within_two_orders_of_magnitude_of_what_is_seen() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((500, 800)).astype(np.float32)
    weight = random.standard_normal((800, 8)).astype(np.float32)
    predicted = dense(exact(rows), weight.astype(np.float64), None, roundoff=U)
    seen = np.zeros((500, 8), np.float32)
    for index in range(800):
        seen = seen + rows[:, index, None] * weight[index]
    root_mean_square = np.sqrt(np.mean((seen - predicted.value) ** 2))
    expected = np.sqrt(np.mean(predicted.variance))
    assert expected / 4 < root_mean_square < expected


def test_errors_that_come_in_are_carried_through_the_weights() -> None:
    weight = np.array([[3.0, 0.0], [4.0, 1.0]])
    out = dense(Rounded(np.zeros((1, 2)), np.ones((1, 2))), weight, None, roundoff=0.0)
    assert np.allclose(out.variance, [[25.0, 1.0]])
    pooled = max_pool(Rounded(np.zeros((1, 1, 2, 2)), np.arange(4.0).reshape(1, 1, 2, 2)), size=(2, 2), stride=(2, 2))
    assert pooled.variance.item() == 3.0
    assert relu(Rounded(np.array([-1.0]), np.array([2.0]))).variance[0] == 2.0


def test_float64_evaluation_agrees_with_onnx_own_evaluator(model_path: Path) -> None:
    model = onnx.load_from_string(model_path.read_bytes())
    images = load_mini().test.images[:5]
    logits, sigma = evaluate_with_rounding(model, images, roundoff=U)
    from onnx.reference import ReferenceEvaluator

    expected = ReferenceEvaluator(model).run(["logits"], {"images": images})[0]
    assert np.abs(logits - expected).max() < 1e-4
    assert logits.dtype == sigma.dtype == np.float64
    assert (sigma > 0).all()
    assert (sigma < 1e-4).all()


def test_a_coarser_precision_has_a_wider_bound(model_path: Path) -> None:
    model = onnx.load_from_string(model_path.read_bytes())
    images = load_mini().test.images[:4]
    fine, coarse = (evaluate_with_rounding(model, images, roundoff=UNIT_ROUNDOFF[name])[1] for name in ("fp32", "fp16"))
    assert np.allclose(coarse / fine, UNIT_ROUNDOFF["fp16"] / UNIT_ROUNDOFF["fp32"])


@given(st.floats(1e-12, 1e3))
def test_the_bound_is_rounded_up_to_three_digits(sigma: float) -> None:
    bound = bound_from_sigma(np.array([sigma, sigma / 2]))
    assert bound >= BOUND_FACTOR * sigma * (1 - 1e-9)
    assert bound <= BOUND_FACTOR * sigma * 1.0101
    assert float(f"{bound:.3g}") == bound


def test_an_operator_that_the_formula_does_not_know_is_named() -> None:
    node = helper.make_node("Gelu", ["images"], ["logits"])
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 2]) for name in ("images", "logits")]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:]))
    with pytest.raises(ModelError, match="Gelu"):
        evaluate_with_rounding(model, np.zeros((1, 2), np.uint8), roundoff=U)
