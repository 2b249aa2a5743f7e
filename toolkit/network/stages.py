"""The stages of the network for an image's size: which convolutions, which pooling, which maps."""

from __future__ import annotations

__all__ = ["PLAIN_STAGES", "Conv", "Stage", "plan_stages"]

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from toolkit.network.config import NetworkConfig

Size = tuple[int, int]

# Stages that follow the settings to the letter; further ones keep small maps alive.
PLAIN_STAGES = 2
LARGEST_PLAIN_IMAGE = 32
# The tutorial's own last map. One of 5x5 would make a dense layer of 1,600 x 1,024, and files of images of 100 pixels a
# side, which have further stages and a large mean besides, larger than 8 MB.
LARGEST_LAST_MAP = 4


class Conv(NamedTuple):
    """One convolution.

    Attributes:
        input_channels: of its input.
        output_channels: of its output.
        kernel_size: side of its kernel.
        padding: zero pixels added on every side.
        size: height and width of its output.
    """

    input_channels: int
    output_channels: int
    kernel_size: int
    padding: int
    size: Size


class Stage(NamedTuple):
    """Convolutions and the pooling after them.

    Attributes:
        convs: in order.
        pool_size: height and width of the pooling window.
        pool_stride: its steps.
        pooled: height and width of the stage's output; under 1 where the image is too small.
    """

    convs: tuple[Conv, ...]
    pool_size: Size
    pool_stride: Size
    pooled: Size


def plan_stages(config: NetworkConfig) -> list[Stage]:
    """Return the stages of a network.

    The first two follow the settings to the letter. Further ones pad their convolutions and pool 2x2 (a side of one
    pixel is left alone), so that they fit any map. Above 32 pixels stages are added until the map is at most 4x4.
    """
    stages: list[Stage] = []
    size, channels = (config.height, config.width), config.channels
    is_large = max(size) > LARGEST_PLAIN_IMAGE
    while len(stages) < config.stages or (is_large and max(size) > LARGEST_LAST_MAP):
        is_plain = len(stages) < PLAIN_STAGES
        stage = _plain_stage(config, size, channels, len(stages)) if is_plain else _further(config, size, channels)
        stages.append(stage)
        size, channels = stage.pooled, stage.convs[-1].output_channels
        if min(size) < 1:
            break
    return stages


def _plain_stage(config: NetworkConfig, size: Size, channels: int, index: int) -> Stage:
    outputs = (config.conv1_channels, config.conv2_channels)[index]
    parts = 1 if index == 0 else config.stage_convs
    convs = _convs(config, size, (channels, outputs), parts=parts, is_padded=config.padding == "same")
    window, step = config.pool_size, config.pool_stride
    height, width = ((side - window) // step + 1 for side in convs[-1].size)
    return Stage(convs, (window, window), (step, step), (height, width))


def _further(config: NetworkConfig, size: Size, channels: int) -> Stage:
    convs = _convs(config, size, (channels, config.conv3_channels), parts=config.stage_convs, is_padded=True)
    window = (min(2, size[0]), min(2, size[1]))
    return Stage(convs, window, window, (size[0] // window[0], size[1] // window[1]))


def _convs(
    config: NetworkConfig, size: Size, channels: tuple[int, int], *, parts: int, is_padded: bool
) -> tuple[Conv, ...]:
    kernel = (config.kernel_size - 1) // parts + 1
    padding = kernel // 2 if is_padded else 0
    convs: list[Conv] = []
    inputs, outputs = channels
    for _ in range(parts):
        size = (size[0] + 2 * padding - kernel + 1, size[1] + 2 * padding - kernel + 1)
        convs.append(Conv(inputs, outputs, kernel, padding, size))
        inputs = outputs
    return tuple(convs)
