"""Settings of the network and what follows from them: its stages for an image's size, its layers; needs no torch."""

from __future__ import annotations

__all__ = [
    "DATA_FIELDS",
    "LARGEST_IMAGE",
    "LIMITS",
    "SMALLEST_IMAGE",
    "Conv",
    "LayerShape",
    "NetworkConfig",
    "Stage",
    "plan_stages",
]

import math
from dataclasses import asdict, dataclass, fields
from typing import NamedTuple

from toolkit.errors import UsageError
from toolkit.network.ranges import SHARE, Limits, Range, check_limits

# Set by the data, never by hand.
DATA_FIELDS = ("height", "width", "channels", "classes")
# Pixels a side that the network is made for.
SMALLEST_IMAGE, LARGEST_IMAGE = 16, 128
# A checkpoint holds up to four copies of the weights, and one of more than 1 GiB is not read back.
MOST_PARAMETERS = 60_000_000
Size = tuple[int, int]
# Stages that follow the settings to the letter; further ones keep small maps alive.
PLAIN_STAGES = 2
# What each field may be set to: a range, or some words.
LIMITS: Limits = {
    **dict.fromkeys(("height", "width", "classes", "stage_convs"), Range(1)),
    "stages": Range(PLAIN_STAGES, 6),
    **dict.fromkeys(("conv1_channels", "conv2_channels", "conv3_channels"), Range(1)),
    "kernel_size": Range(1, is_odd=True),
    "padding": ("valid", "same"),
    **dict.fromkeys(("pool_size", "pool_stride"), Range(1)),
    "normalisation": ("none", "batch"),
    "hidden_units": Range(0),
    **dict.fromkeys(("dropout", "input_dropout"), SHARE),
    "test_shift_pixels": Range(0, LARGEST_IMAGE),
    "standardisation": ("data", "image"),
}
LARGEST_PLAIN_IMAGE = 32
# The tutorial's own last map. One of 5x5 would make a dense layer of 1,600 x 1,024, and files of images of 100 pixels a
# side, which have further stages and a large mean besides, larger than 8 MB.
LARGEST_LAST_MAP = 4


class LayerShape(NamedTuple):
    """One line of the network's description.

    Attributes:
        layer: what it is.
        output: `height x width x channels`, or the number of units.
        parameters: trainable numbers in it.
    """

    layer: str
    output: tuple[int, ...]
    parameters: int


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Hyper-parameters of a staged CNN; the defaults are the tutorial's.

    A stage is one or more convolutions and a max-pooling; dense layers follow. The tutorial has two stages of one
    convolution each. Images above 32 pixels get further stages until the map is at most 4x4 (`plan_stages`).

    Attributes:
        height: rows of an image, pixels.
        width: columns of an image, pixels.
        channels: 1 (grey) or 3 (RGB).
        classes: number of classes.
        stages: stages for images of up to 32 pixels.
        stage_convs: convolutions that every stage after the first splits its kernel into: 2 makes two of 3x3 from one
            of 5x5, which see as far with fewer weights (Simonyan and Zisserman 2014, arXiv 1409.1556).
        conv1_channels: output channels of the first stage.
        conv2_channels: output channels of the second stage.
        conv3_channels: output channels of every further stage.
        kernel_size: side of the convolution kernels, pixels, odd.
        padding: `valid` (none) or `same` (output as large as the input); further stages always use `same`.
        pool_size: side of the max-pooling window, pixels; further stages always use 2.
        pool_stride: step of the max-pooling window, pixels; further stages always use 2.
        normalisation: `none`, or `batch` after every convolution (Ioffe and Szegedy 2015).
        hidden_units: width of the dense layer; 0 for none.
        dropout: probability of dropping an input of the last dense layer while training, in [0, 1).
        input_dropout: probability of replacing a pixel by the training images' mean there while training, in [0, 1);
            the others' distances from it grow as dropout's do (Srivastava et al. 2014, JMLR 15:1929).
        test_shift_pixels: in use (never while training) the logits are the mean over the image and its four shifts by
            so many pixels; 0 for the image alone. Five times the work for every answer.
        standardisation: by the training images' mean and deviation (`data`), or each image by its own (`image`), so
            that neither brightness nor contrast changes an answer.
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    classes: int = 10
    stages: int = 2
    stage_convs: int = 1
    conv1_channels: int = 32
    conv2_channels: int = 64
    conv3_channels: int = 64
    kernel_size: int = 5
    padding: str = "valid"
    pool_size: int = 2
    pool_stride: int = 2
    normalisation: str = "none"
    hidden_units: int = 1024
    dropout: float = 0.5
    input_dropout: float = 0.0
    test_shift_pixels: int = 0
    standardisation: str = "data"

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.type == "int" and type(getattr(self, item.name)) is not int:
                raise UsageError(f"{item.name} is {getattr(self, item.name)!r}; expected a whole number")
        check_limits(asdict(self), LIMITS)
        if self.channels not in {1, 3}:
            raise UsageError(f"channels is {self.channels}; expected 1 (grey) or 3 (RGB)")
        self._check_geometry()

    @property
    def views(self) -> int:
        """Images that it looks at for one answer in use: with `test_shift_pixels` the image and its four shifts."""
        return 5 if self.test_shift_pixels else 1

    @property
    def flat_features(self) -> int:
        """Numbers that the first dense layer sees."""
        last = plan_stages(self)[-1]
        return math.prod(last.pooled) * last.convs[-1].output_channels

    @property
    def num_parameters(self) -> int:
        """Trainable numbers in the whole network."""
        return sum(layer.parameters for layer in self.layer_shapes())

    def layer_shapes(self) -> list[LayerShape]:
        """Return every layer with its output shape, in the order in which the tutorial names them."""
        image = (self.height, self.width, self.channels)
        layers = [LayerShape("input, standardised", image, 0)]
        if self.input_dropout:
            layers.append(LayerShape(f"dropout {self.input_dropout:g}", image, 0))
        for stage in plan_stages(self):
            layers += self._stage_layers(stage)
        layers.append(LayerShape("flatten", (self.flat_features,), 0))
        features = self.flat_features
        if self.hidden_units:
            parameters = (features + 1) * self.hidden_units
            layers.append(LayerShape("fully connected, ReLU", (self.hidden_units,), parameters))
            features = self.hidden_units
        layers.append(LayerShape(f"dropout {self.dropout:g}", (features,), 0))
        layers.append(LayerShape("fully connected", (self.classes,), (features + 1) * self.classes))
        return layers

    def _check_geometry(self) -> None:
        if (self.kernel_size - 1) % (2 * self.stage_convs):
            raise UsageError(
                f"kernel_size {self.kernel_size} cannot be split into {self.stage_convs} odd kernels (stage_convs); "
                "5 splits into 2 of 3x3"
            )
        smallest = min(plan_stages(self), key=lambda stage: min(stage.pooled))
        if min(smallest.pooled) < 1:
            raise UsageError(
                f"a {self.height}x{self.width} image is too small for kernel {self.kernel_size} with padding "
                f"{self.padding} and pooling {self.pool_size} with stride {self.pool_stride}; the map shrinks to "
                f"{smallest.pooled}"
            )
        if self.num_parameters > MOST_PARAMETERS:
            raise UsageError(
                f"the network has {self.num_parameters:,} parameters for {self.height}x{self.width} images; "
                f"expected at most {MOST_PARAMETERS:,}: take fewer channels or hidden units"
            )

    def _stage_layers(self, stage: Stage) -> list[LayerShape]:
        layers, has_norm = [], self.normalisation == "batch"
        for conv in stage.convs:
            kind = f"conv {conv.kernel_size}x{conv.kernel_size} {'same' if conv.padding else 'valid'}"
            # A batch normalisation holds a scale and a shift a channel and takes the place of the bias.
            weights = conv.input_channels * conv.kernel_size**2 + (2 if has_norm else 1)
            words = f"{kind}, batch normalisation, ReLU" if has_norm else f"{kind}, ReLU"
            layers.append(LayerShape(words, (*conv.size, conv.output_channels), weights * conv.output_channels))
        window = "x".join(map(str, stage.pool_size))
        pool = f"max-pool {window}, stride {stage.pool_stride[0]}"
        layers.append(LayerShape(pool, (*stage.pooled, stage.convs[-1].output_channels), 0))
        return layers


def plan_stages(config: NetworkConfig) -> list[Stage]:
    """Return the stages of a network.

    The first two follow the settings to the letter. Further ones pad their convolutions and pool 2x2 (a side of one
    pixel is left alone), so that they fit any map. Above 32 pixels stages are added until the map is at most 4x4.
    """
    stages: list[Stage] = []
    size, channels = (config.height, config.width), config.channels
    is_large = max(size) > LARGEST_PLAIN_IMAGE
    while len(stages) < config.stages or (is_large and max(size) > LARGEST_LAST_MAP):
        if len(stages) < PLAIN_STAGES:
            stage = _plain_stage(config, size, channels=channels, index=len(stages))
        else:
            stage = _further_stage(config, size, channels=channels)
        stages.append(stage)
        size, channels = stage.pooled, stage.convs[-1].output_channels
        if min(size) < 1:
            break
    return stages


def _plain_stage(config: NetworkConfig, size: Size, *, channels: int, index: int) -> Stage:
    outputs = (config.conv1_channels, config.conv2_channels)[index]
    parts = 1 if index == 0 else config.stage_convs
    convs = _convs(config, size, channels=(channels, outputs), parts=parts, is_padded=config.padding == "same")
    window, step = config.pool_size, config.pool_stride
    height, width = ((side - window) // step + 1 for side in convs[-1].size)
    return Stage(convs, (window, window), (step, step), (height, width))


def _further_stage(config: NetworkConfig, size: Size, *, channels: int) -> Stage:
    convs = _convs(config, size, channels=(channels, config.conv3_channels), parts=config.stage_convs, is_padded=True)
    window = (min(2, size[0]), min(2, size[1]))
    return Stage(convs, window, window, (size[0] // window[0], size[1] // window[1]))


def _convs(
    config: NetworkConfig, size: Size, *, channels: tuple[int, int], parts: int, is_padded: bool
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
