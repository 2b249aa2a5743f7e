"""The network's arithmetic of shapes agrees with torch, and with the tutorial."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.errors import UsageError
from toolkit.network.cnn import CNN, Classifier
from toolkit.network.config import NetworkConfig


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
    logits, probabilities, label = Classifier(network).eval()(torch.zeros(shape, dtype=torch.uint8))
    assert logits.shape == probabilities.shape == (2, classes)
    assert label.shape == (2,)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(2))


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
