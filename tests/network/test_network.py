"""The network's arithmetic of shapes agrees with torch, and with the tutorial."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from toolkit.errors import UsageError
from toolkit.network.cnn import CNN, ContractNetwork, _pool
from toolkit.network.config import LARGEST_IMAGE, SMALLEST_IMAGE, NetworkConfig, Stage, plan_stages
from toolkit.training.recipe_catalog import RECIPES, resolve_recipe

DEEP = ["stages=3", "stage_convs=2", "conv3_channels=128", "normalisation=batch", "hidden_units=0"]
NETWORKS = {name: recipe.network for name, recipe in RECIPES.items()}
NETWORKS["deep"] = resolve_recipe("fast", settings=DEEP).network
SIDES = st.integers(SMALLEST_IMAGE, LARGEST_IMAGE)
LARGEST_FILE_BYTES = 8_000_000
# A card has up to 256 KB of golden images, 103 x 100 logits of 20 bytes, names; a graph has nodes and statistics.
ROOM_BYTES = 650_000


def test_the_default_is_the_tutorials_network() -> None:
    config = NetworkConfig()
    shapes = [layer.output for layer in config.layer_shapes()]
    assert shapes == [
        (28, 28, 1),
        (24, 24, 32),
        (12, 12, 32),
        (8, 8, 64),
        (4, 4, 64),
        (1024,),
        (1024,),
        (1024,),
        (10,),
    ]
    assert config.num_parameters == 1_111_946


@settings(max_examples=25, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 5]),
    padding=st.sampled_from(["valid", "same"]),
    stride=st.integers(1, 3),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 5),
)
def test_shapes_and_parameters_are_those_of_the_module(
    kernel: int, padding: str, stride: int, channels: int, classes: int
) -> None:
    config = NetworkConfig(
        height=40,
        width=43,
        channels=channels,
        classes=classes,
        conv1_channels=3,
        conv2_channels=4,
        kernel_size=kernel,
        padding=padding,
        pool_stride=stride,
        hidden_units=6,
    )
    network = CNN(config)
    assert sum(item.numel() for item in network.parameters()) == config.num_parameters
    shape = (2, 40, 43) if channels == 1 else (2, 40, 43, 3)
    logits, probabilities, label = ContractNetwork(network).eval()(torch.zeros(shape, dtype=torch.uint8))
    assert logits.shape == probabilities.shape == (2, classes)
    assert label.shape == (2,)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(2))


def of_size(name: str, *, height: int, width: int, channels: int = 3, classes: int = 100) -> NetworkConfig:
    return replace(NETWORKS[name], height=height, width=width, channels=channels, classes=classes)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(NETWORKS)),
    height=SIDES,
    width=SIDES,
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 100),
)
def test_every_recipes_network_is_as_described_at_every_size(
    name: str, height: int, width: int, channels: int, classes: int
) -> None:
    config = of_size(name, height=height, width=width, channels=channels, classes=classes)
    layers = config.layer_shapes()
    network = CNN(config).eval()
    assert sum(item.numel() for item in network.parameters()) == config.num_parameters
    shape = (1, height, width) if channels == 1 else (1, height, width, 3)
    with torch.inference_mode():
        assert network(torch.zeros(shape, dtype=torch.uint8)).shape == (1, classes)
        maps = torch.zeros(1, channels, height, width)
        for stage in network.stages:
            maps = stage(maps)
            pooled = layers.pop(next(index for index, layer in enumerate(layers) if layer.layer.startswith("max-pool")))
            assert pooled.output == (*maps.shape[2:], maps.shape[1])
    assert not [layer for layer in layers if layer.layer.startswith("max-pool")]


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_maps_are_small_and_files_under_8_mb_at_every_size(name: str) -> None:
    sides = range(SMALLEST_IMAGE, LARGEST_IMAGE + 1)
    for height, width in [
        *((side, side) for side in sides),
        *((16, side) for side in sides),
        *((side, 31) for side in sides),
    ]:
        config = of_size(name, height=height, width=width)
        assert 4 * (config.num_parameters + height * width * 3) + ROOM_BYTES < LARGEST_FILE_BYTES, (height, width)
        assert max(plan_stages(config)[-1].pooled) <= 5, (height, width)


@pytest.mark.parametrize(
    ("name", "height", "width"), [("tutorial", 32, 32), ("tutorial", 91, 91), ("deep", 128, 128), ("deep", 16, 16)]
)
@pytest.mark.slow
def test_the_largest_files_are_as_large_as_reckoned(name: str, height: int, width: int) -> None:
    from exporters import ExportSpec, export_torch, finish_model

    config = of_size(name, height=height, width=width)
    spec, example = ExportSpec(), torch.zeros((2, height, width, 3), dtype=torch.uint8)
    graph = export_torch(ContractNetwork(CNN(config).eval()), (example,), spec=spec)
    size = len(finish_model(graph, spec, metadata={}, producer="x").model)
    reckoned = 4 * (config.num_parameters + height * width * 3)
    # A fresh network's normalisations are all ones and zeros, which the exporter writes once.
    assert reckoned - 10_000 < size < reckoned + 50_000


@settings(max_examples=50, deadline=None)
@given(
    height=st.integers(5, 12),
    width=st.integers(5, 12),
    size=st.integers(1, 3),
    stride=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    is_last_channel=st.booleans(),
)
def test_in_use_a_network_pools_the_values_that_max_pool_gives(
    height: int, width: int, size: int, stride: int, dtype: torch.dtype, is_last_channel: bool
) -> None:
    plan = Stage(convs=(), pool_size=(size, size), pool_stride=(stride, stride), pooled=(0, 0))
    maps = torch.randn(3, 4, height, width, dtype=dtype)
    maps[1, 2, 3, 3] = float("nan")
    if is_last_channel:
        maps = maps.contiguous(memory_format=torch.channels_last)
    expected = functional.max_pool2d(maps, size, stride)
    with torch.inference_mode():
        torch.testing.assert_close(_pool(maps, plan), expected, rtol=0, atol=0, equal_nan=True)


def test_max_pool_is_what_is_exported_and_trained() -> None:
    network = CNN(NetworkConfig()).eval()
    exported = torch.export.export(network, (torch.zeros(2, 28, 28, dtype=torch.uint8),))
    assert [str(node.target) for node in exported.graph.nodes].count("aten.max_pool2d.default") == 2


def test_standardisation_is_inside_the_module() -> None:
    torch.manual_seed(0)
    config = NetworkConfig(dropout=0.0)
    mean, std = torch.rand(28, 28) * 100, torch.tensor(50.0)
    with_buffers = CNN(config, mean=mean, std=std)
    plain = CNN(config)
    plain.load_state_dict({**with_buffers.state_dict(), "mean": torch.zeros(28, 28), "std": torch.ones(())})
    images = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    assert torch.allclose(with_buffers(images), plain((images.float() - mean) / std), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kernel_size": 4}, "odd"),
        ({"kernel_size": 15}, "too small"),
        ({"padding": "some"}, "valid"),
        ({"dropout": 1.0}, "dropout"),
        ({"input_dropout": 1}, "input_dropout"),
        ({"channels": 2}, "RGB"),
        ({"hidden_units": -1}, "hidden_units"),
        ({"stages": 1}, "stages"),
        ({"stage_convs": 3}, "split"),
        ({"normalisation": "layer"}, "batch"),
        ({"pool_stride": -1}, "pool_stride"),
        ({"conv1_channels": 2.5}, "conv1_channels"),
    ],
)
def test_settings_that_make_no_network_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        NetworkConfig(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 3])
def test_test_time_shifts_average_the_logits_of_five_views(channels: int) -> None:
    torch.manual_seed(0)
    shape = (3, 28, 28) if channels == 1 else (3, 28, 28, 3)
    images = torch.zeros(shape, dtype=torch.uint8)
    images[:, 4:24, 4:24] = torch.randint(0, 256, images[:, 4:24, 4:24].shape, dtype=torch.uint8)
    alone = CNN(NetworkConfig(channels=channels)).eval()
    averaged = CNN(NetworkConfig(channels=channels, test_shift_pixels=2)).eval()
    averaged.load_state_dict(alone.state_dict())
    # Nothing falls off the edge here, so a roll is a shift.
    rolls = [torch.roll(images, offset, dims=(1, 2)) for offset in ((0, 0), (2, 0), (-2, 0), (0, 2), (0, -2))]
    expected = torch.stack([alone(view) for view in rolls]).mean(dim=0)
    assert torch.allclose(averaged(images), expected, atol=1e-5)
    assert torch.equal(averaged.train()(images).isfinite(), torch.ones(3, 10, dtype=torch.bool))


def test_test_time_shifts_are_off_while_training() -> None:
    alone = CNN(NetworkConfig(dropout=0.0)).train()
    averaged = CNN(NetworkConfig(dropout=0.0, test_shift_pixels=1)).train()
    averaged.load_state_dict(alone.state_dict())
    images = torch.randint(0, 256, (2, 28, 28), dtype=torch.uint8)
    assert torch.equal(alone(images), averaged(images))


def test_input_dropout_leaves_the_mean_where_a_pixel_is_dropped_while_training_only() -> None:
    torch.manual_seed(0)
    mean = torch.full((28, 28), 100.0)
    network = CNN(NetworkConfig(input_dropout=0.25), mean=mean, std=torch.tensor(50.0))
    seen: list[torch.Tensor] = []
    network.stages[0].register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    images = torch.full((16, 28, 28), 250, dtype=torch.uint8)
    network.train()(images)
    network.eval()(images)
    training, use = seen
    is_dropped = training == 0
    assert 0.23 < float(is_dropped.float().mean()) < 0.27
    assert torch.equal(training[~is_dropped].unique(), torch.tensor([3.0 / 0.75]))
    assert torch.equal(use.unique(), torch.tensor([3.0]))
    assert network.config.layer_shapes()[1].layer == "dropout 0.25"


def test_dropout_drops_its_share_of_the_features_and_scales_the_others_up_while_training_only() -> None:
    torch.manual_seed(0)
    network = CNN(NetworkConfig(dropout=0.3))
    seen: list[torch.Tensor] = []
    network.dense1.register_forward_hook(lambda _module, _inputs, output: torch.full_like(output, 2.0))
    network.dense2.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    images = torch.zeros(64, 28, 28, dtype=torch.uint8)
    network.train()(images)
    network.train()(images)
    network.eval()(images)
    first, second, use = seen
    assert 0.28 < float((first == 0).float().mean()) < 0.32
    assert torch.equal(first[first != 0].unique(), torch.tensor([2.0]) * (1 / 0.7))
    assert not torch.equal(first, second)
    assert torch.equal(use.unique(), torch.tensor([2.0]))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_standardised_by_itself_may_be_of_any_brightness_and_contrast(channels: int) -> None:
    torch.manual_seed(0)
    config = NetworkConfig(channels=channels, standardisation="image")
    shape = (2, 28, 28) if channels == 1 else (2, 28, 28, 3)
    network, data = CNN(config).eval(), CNN(replace(config, standardisation="data")).eval()
    images = torch.rand(shape) * 200
    assert torch.allclose(network(images * 0.4 + 60), network(images), atol=1e-3)
    assert not torch.allclose(data(images * 0.4 + 60), data(images), atol=1e-1)
    # A flat image is no division by nothing.
    assert torch.equal(network(torch.full(shape, 7.0)), network(torch.zeros(shape)))
