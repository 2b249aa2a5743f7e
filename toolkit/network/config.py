"""Settings of the network, its presets and the shapes that follow from them; needs no torch."""

from __future__ import annotations

__all__ = ["LayerShape", "NetworkConfig"]

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from toolkit.errors import UsageError


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
    """Hyper-parameters of the tutorial's CNN: two stages of convolution, ReLU and max-pooling, then two dense layers.

    Attributes:
        height: rows of an image, pixels.
        width: columns of an image, pixels.
        channels: 1 (grey) or 3 (RGB).
        classes: number of classes.
        conv1_channels: output channels of the first convolution.
        conv2_channels: output channels of the second convolution.
        kernel_size: side of both convolution kernels, pixels, odd.
        padding: `valid` (none) or `same` (output as large as the input).
        pool_size: side of the max-pooling window, pixels.
        pool_stride: step of the max-pooling window, pixels.
        hidden_units: width of the dense layer.
        dropout: probability of dropping a hidden unit while training, in [0, 1).
    """

    height: int = 28
    width: int = 28
    channels: int = 1
    classes: int = 10
    conv1_channels: int = 32
    conv2_channels: int = 64
    kernel_size: int = 5
    padding: str = "valid"
    pool_size: int = 2
    pool_stride: int = 2
    hidden_units: int = 1024
    dropout: float = 0.5

    def __post_init__(self) -> None:
        counts = {name: value for name, value in asdict(self).items() if name not in {"padding", "dropout"}}
        for name, value in counts.items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"{name} is {value!r}; expected a whole number of at least 1")
        if self.channels not in {1, 3}:
            raise UsageError(f"channels is {self.channels}; expected 1 (grey) or 3 (RGB)")
        if self.padding not in {"valid", "same"}:
            raise UsageError(f"padding is {self.padding!r}; expected 'valid' or 'same'")
        if self.kernel_size % 2 == 0:
            raise UsageError(f"kernel_size is {self.kernel_size}; expected an odd number")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}; expected 0 <= dropout < 1")
        if min(self._stage_sizes()[-1]) < 1:
            raise UsageError(
                f"a {self.height}x{self.width} image is too small for kernel {self.kernel_size} with padding "
                f"{self.padding} and pooling {self.pool_size}; the map shrinks to {self._stage_sizes()[-1]}"
            )

    @property
    def flat_features(self) -> int:
        """Numbers that the first dense layer sees."""
        return math.prod(self._stage_sizes()[-1]) * self.conv2_channels

    @property
    def conv_padding(self) -> int:
        """Zero pixels added on every side before a convolution."""
        return self.kernel_size // 2 if self.padding == "same" else 0

    @property
    def num_parameters(self) -> int:
        """Trainable numbers in the whole network."""
        return sum(layer.parameters for layer in self.layer_shapes())

    def layer_shapes(self) -> list[LayerShape]:
        """Return every layer with its output shape, in the order of the computation."""
        conv1, pool1, conv2, pool2 = self._stage_sizes()
        window = self.kernel_size**2
        first, second, hidden = self.conv1_channels, self.conv2_channels, self.hidden_units
        kernel = f"{self.kernel_size}x{self.kernel_size}"
        pool = f"max-pool {self.pool_size}x{self.pool_size}, stride {self.pool_stride}"
        return [
            LayerShape("input, standardised", (self.height, self.width, self.channels), 0),
            LayerShape(f"conv {kernel} {self.padding}, ReLU", (*conv1, first), (window * self.channels + 1) * first),
            LayerShape(pool, (*pool1, first), 0),
            LayerShape(f"conv {kernel} {self.padding}, ReLU", (*conv2, second), (window * first + 1) * second),
            LayerShape(pool, (*pool2, second), 0),
            LayerShape("flatten", (self.flat_features,), 0),
            LayerShape("fully connected, ReLU", (hidden,), (self.flat_features + 1) * hidden),
            LayerShape(f"dropout {self.dropout:g}", (hidden,), 0),
            LayerShape("fully connected", (self.classes,), (hidden + 1) * self.classes),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return asdict(self)

    def _stage_sizes(self) -> list[tuple[int, int]]:
        size, sizes = (self.height, self.width), []
        for _ in range(2):
            size = _both(size, lambda side: side + 2 * self.conv_padding - self.kernel_size + 1)
            sizes.append(size)
            size = _both(size, lambda side: (side - self.pool_size) // self.pool_stride + 1)
            sizes.append(size)
        return sizes


def _both(size: tuple[int, int], rule: Any) -> tuple[int, int]:
    height, width = size
    return rule(height), rule(width)
