"""The bound: known before any engine runs, wide enough for every order of additions, narrow enough to see a fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from exporters import ExportSpec, export_torch
from toolkit.data.load import load_mini
from toolkit.errors import ModelError
from toolkit.network.cnn import CNN, ContractNetwork
from toolkit.network.config import NetworkConfig
from toolkit.runtimes.references.onnx_float64 import evaluate_with_rounding
from toolkit.runtimes.references.rounding import (
    BOUND_FACTOR,
    UNIT_ROUNDOFF,
    Rounded,
    bound_from_sigma,
    dense,
    max_pool,
    mean,
    normalise,
    relu,
)

U = UNIT_ROUNDOFF["fp32"]


def exact(value: np.ndarray) -> Rounded:
    return Rounded(value.astype(np.float64), np.zeros(value.shape))


@settings(max_examples=20, deadline=None)
@given(length=st.sampled_from([25, 800, 1024]), shift=st.sampled_from([0.0, 0.5]), seed=st.integers(0, 10_000))
def test_every_order_of_float32_additions_stays_within_the_bound(length: int, shift: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    row = (random.standard_normal((1, length)) + shift).astype(np.float32)
    weight = random.standard_normal((length, 4)).astype(np.float32)
    predicted = dense(exact(row), weight.astype(np.float64), bias=None, roundoff=U)
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
    predicted = dense(exact(rows), weight.astype(np.float64), bias=None, roundoff=U)
    seen = np.zeros((500, 8), np.float32)
    for index in range(800):
        seen = seen + rows[:, index, None] * weight[index]
    root_mean_square = np.sqrt(np.mean((seen - predicted.value) ** 2))
    expected = np.sqrt(np.mean(predicted.variance))
    assert expected / 4 < root_mean_square < expected


def test_errors_that_come_in_are_carried_through_the_weights() -> None:
    weight = np.array([[3.0, 0.0], [4.0, 1.0]])
    out = dense(Rounded(np.zeros((1, 2)), np.ones((1, 2))), weight, bias=None, roundoff=0.0)
    assert np.allclose(out.variance, [[25.0, 1.0]])
    pooled = max_pool(Rounded(np.zeros((1, 1, 2, 2)), np.arange(4.0).reshape(1, 1, 2, 2)), size=(2, 2), stride=(2, 2))
    assert pooled.variance.item() == 3.0
    assert relu(Rounded(np.array([-1.0]), np.array([2.0]))).variance[0] == 2.0


def as_it_stands(
    x: np.ndarray, scale: np.ndarray, mean: np.ndarray, spread: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    return (x - mean) * (np.float32(1) / np.sqrt(spread + np.float32(1e-5))) * scale + bias


def made_beforehand(
    x: np.ndarray, scale: np.ndarray, mean: np.ndarray, spread: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    factor = scale * (np.float32(1) / np.sqrt(spread + np.float32(1e-5)))
    return x * factor + (bias - mean * factor)


@pytest.mark.parametrize("engine", [as_it_stands, made_beforehand])
@pytest.mark.parametrize("distance", [0.0, 3.0, 300.0])
def test_both_ways_to_normalise_stay_within_the_bound_and_near_it(engine: Any, distance: float) -> None:
    """`distance` is how far the values lie from 0, where the second way loses digits."""
    random = np.random.default_rng(0)
    shape = (2000, 1, 1)
    spread, scale = (random.uniform(0.1, 4, shape).astype(np.float32) for _ in range(2))
    mean, bias = ((distance + random.standard_normal(shape)).astype(np.float32), random.standard_normal(shape))
    bias = bias.astype(np.float32)
    x = (mean + np.sqrt(spread) * random.standard_normal((20, *shape))).astype(np.float32)
    wide = [item.astype(np.float64) for item in (scale, mean, spread, bias)]
    factor = wide[0] / np.sqrt(wide[2] + float(np.float32(1e-5)))
    predicted = normalise(exact(x), factor, mean=wide[1], bias=wide[3], roundoff=U)
    error = np.abs(engine(x, scale, mean, spread, bias) - predicted.value)
    assert (error <= BOUND_FACTOR * np.sqrt(predicted.variance)).all()
    # The way that is taken decides how near: the sum of both is not far above either where values are normalised.
    if distance < 300 or engine is made_beforehand:
        assert np.sqrt((error**2).mean()) > np.sqrt(predicted.variance.mean()) / 6


def test_normalising_adds_every_rounding_and_carries_errors_through_its_factor() -> None:
    x, factor, mean, bias = (np.full((1, 1, 1, 1), value) for value in (2.0, 3.0, 1.0, 5.0))
    carried = normalise(Rounded(x, x), factor[0], mean=mean[0], bias=bias[0], roundoff=0.0)
    assert (carried.value.item(), carried.variance.item()) == (8.0, 18.0)
    rounded = normalise(exact(x), factor[0], mean=mean[0], bias=bias[0], roundoff=1.0)
    # The factor's and the differences', x factor, mean factor, the offset made beforehand, the sum.
    assert rounded.variance.item() == 5.25 * 3**2 + 6**2 + 3**2 + 2**2 + 8**2


def make_lively(network: CNN) -> CNN:
    """Give batch normalisations statistics and scales that no fresh network has; negative scales among them."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for tensor, low, high in (
                (layer.weight, -1.5, 1.5),
                (layer.bias, -0.5, 0.5),
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.3, 2.0),
            ):
                torch.nn.init.uniform_(tensor, low, high)
    return network.eval()


NETWORKS = {
    "deep": NetworkConfig(
        stages=3, stage_convs=2, conv1_channels=8, conv2_channels=16, conv3_channels=16, normalisation="batch",
        hidden_units=0,
    ),
    "narrow, RGB": NetworkConfig(
        height=16, width=72, channels=3, classes=3, conv1_channels=8, conv2_channels=8, conv3_channels=8,
        normalisation="batch", hidden_units=12,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network_has_a_bound_that_holds_and_is_not_loose(name: str) -> None:
    import onnxruntime

    config = NETWORKS[name]
    shape = (config.height, config.width) if config.channels == 1 else (config.height, config.width, 3)
    torch.manual_seed(0)
    network = make_lively(CNN(config, mean=torch.rand(shape) * 50, std=torch.tensor(70.0)))
    images = np.random.default_rng(0).integers(0, 256, (40, *shape), np.uint8)
    model = export_torch(ContractNetwork(network), (torch.zeros((2, *shape), dtype=torch.uint8),), spec=ExportSpec())
    assert "BatchNormalization" in {node.op_type for node in model.graph.node}
    values, sigma = evaluate_with_rounding(model, images, roundoff=U)
    with torch.inference_mode():
        eager = network(torch.from_numpy(images)).numpy()
        reference = network.double()(torch.from_numpy(images)).numpy()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    bound = bound_from_sigma(sigma)
    # The exporter folds some normalisations into float32 weights: the file's own answer is a rounding away.
    assert np.abs(values - reference).max() < bound / 8
    for answer in (eager, session.run(["logits"], {"images": images})[0]):
        error = np.abs(answer - reference).max()
        assert bound / 150 < error < bound / 5


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


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("BatchNormalization", {"training_mode": 1}),
        ("Conv", {"auto_pad": "SAME_UPPER"}),
        ("Conv", {"dilations": [2, 2]}),
        ("MaxPool", {"kernel_shape": [2, 2], "dilations": [2, 1]}),
        ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}),
    ],
)
def test_a_kind_of_operator_that_the_formula_does_not_know_is_refused(
    operator: str, attributes: dict[str, Any]
) -> None:
    node = helper.make_node(operator, ["images"], ["logits"], **attributes)
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 1]) for name in ("images", "logits")]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:]))
    with pytest.raises(ModelError, match="the rounding formula knows"):
        evaluate_with_rounding(model, np.zeros((1, 1, 4, 4), np.uint8), roundoff=U)


@pytest.mark.parametrize("standardisation", ["data", "image"])
@pytest.mark.parametrize("channels", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_network_with_test_time_shifts_is_evaluated_and_bounded(channels: int, standardisation: str) -> None:
    torch.manual_seed(3)
    config = NetworkConfig(
        height=20, width=20, channels=channels, hidden_units=16, test_shift_pixels=2, standardisation=standardisation
    )
    shape = (20, 20) if channels == 1 else (20, 20, 3)
    network = CNN(config, mean=torch.rand(shape) * 50, std=torch.tensor(60.0)).eval()
    model = export_torch(ContractNetwork(network), (torch.zeros((2, *shape), dtype=torch.uint8),), spec=ExportSpec())
    images = np.random.default_rng(0).integers(0, 256, (7, *shape), np.uint8)
    logits, sigma = evaluate_with_rounding(model, images, roundoff=U)
    with torch.inference_mode():
        float32 = network(torch.from_numpy(images)).double().numpy()
        float64 = network.double()(torch.from_numpy(images)).numpy()
    assert np.abs(logits - float64).max() < 1e-9
    assert (np.abs(float32 - float64) <= BOUND_FACTOR * sigma).all()


def test_the_mean_of_equal_values_keeps_their_error() -> None:
    item = Rounded(np.full((5, 2), 3.0), np.full((5, 2), 4.0))
    averaged = mean(item, axis=0, keeps_axis=False, roundoff=0.0)
    assert averaged.value.tolist() == [3.0, 3.0]
    assert averaged.variance.tolist() == [4.0, 4.0]
