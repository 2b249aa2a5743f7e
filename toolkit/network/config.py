"""Settings of the network and what follows from them; needs no torch."""

from __future__ import annotations

__all__ = ["DATA_FIELDS", "LARGEST_IMAGE", "SMALLEST_IMAGE", "LayerShape", "NetworkConfig"]

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

from toolkit.errors import UsageError
from toolkit.network.stages import PLAIN_STAGES, Stage, plan_stages

# Set by the data, never by hand.
DATA_FIELDS = ("height", "width", "channels", "classes")
NORMALISATIONS = ("none", "batch")
PADDINGS = ("valid", "same")
DROPOUTS = ("dropout", "input_dropout")
NOT_WHOLE = {"padding", "normalisation", *DROPOUTS}
MAY_BE_ZERO = {"hidden_units", "test_shift_pixels"}
MOST_STAGES = 6
# Pixels a side that the network is made for.
SMALLEST_IMAGE, LARGEST_IMAGE = 16, 128
# A checkpoint holds up to four copies of the weights, and one of more than 1 GiB is not read back.
MOST_PARAMETERS = 60_000_000


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

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0 if name in MAY_BE_ZERO else 1
            if name not in NOT_WHOLE and (type(value) is not int or value < least):
                raise UsageError(f"{name} is {value!r}; expected a whole number of at least {least}")
        for name, known in (("padding", PADDINGS), ("normalisation", NORMALISATIONS)):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is {getattr(self, name)!r}; expected {' or '.join(map(repr, known))}")
        for name, is_right, expected in (
            ("channels", self.channels in {1, 3}, "1 (grey) or 3 (RGB)"),
            ("stages", PLAIN_STAGES <= self.stages <= MOST_STAGES, f"{PLAIN_STAGES} to {MOST_STAGES}"),
            ("kernel_size", self.kernel_size % 2 == 1, "an odd number"),
            *((name, 0 <= getattr(self, name) < 1, f"0 <= {name} < 1") for name in DROPOUTS),
            ("test_shift_pixels", self.test_shift_pixels <= LARGEST_IMAGE, f"at most {LARGEST_IMAGE}"),
        ):
            if not is_right:
                raise UsageError(f"{name} is {getattr(self, name)}; expected {expected}")
        self._check_geometry()

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
