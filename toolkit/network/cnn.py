"""The tutorial's CNN as a torch module that takes raw pixels.

Shapes: N images, H rows, W columns, C channels, K classes.
"""

from __future__ import annotations

__all__ = ["CNN", "Classifier"]

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.network.config import NetworkConfig


class CNN(nn.Module):
    """Raw uint8 pixels in, logits out; standardisation is part of the module.

    Args:
        config: the hyper-parameters.
        mean: per-pixel mean of the training images, float, `[H, W]` or `[H, W, 3]`, in raw pixel units (0 to 255).
        std: one standard deviation over all pixels of all training images, in raw pixel units.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig, *, mean: Tensor | None = None, std: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        shape = (config.height, config.width) if config.channels == 1 else (config.height, config.width, 3)
        self.register_buffer("mean", torch.zeros(shape) if mean is None else mean.to(torch.float32))
        self.register_buffer("std", torch.ones(()) if std is None else std.to(torch.float32))
        padding = config.conv_padding
        self.conv1 = nn.Conv2d(config.channels, config.conv1_channels, config.kernel_size, padding=padding)
        self.conv2 = nn.Conv2d(config.conv1_channels, config.conv2_channels, config.kernel_size, padding=padding)
        self.dense1 = nn.Linear(config.flat_features, config.hidden_units)
        self.dense2 = nn.Linear(config.hidden_units, config.classes)
        for layer in (self.conv1, self.conv2, self.dense1, self.dense2):
            # Glorot and Bengio 2010, and biases at 0: TensorFlow's defaults, so the tutorial's own start.
            nn.init.xavier_uniform_(layer.weight)
            nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]  # every layer here has a bias

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `[N, K]` for uint8 images `[N, H, W]` or `[N, H, W, 3]`."""
        pixels = (images.to(self.mean.dtype) - self.mean) / self.std
        maps = pixels.unsqueeze(1) if self.config.channels == 1 else pixels.permute(0, 3, 1, 2)
        maps = self._stage(maps, self.conv1)
        maps = self._stage(maps, self.conv2)
        hidden = functional.relu(self.dense1(maps.flatten(1)))
        return self.dense2(functional.dropout(hidden, self.config.dropout, self.training))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped

    def _stage(self, maps: Tensor, conv: nn.Module) -> Tensor:
        # Pooling before ReLU gives the same values (both are monotone) and runs ReLU on a quarter of them.
        pooled = functional.max_pool2d(conv(maps), self.config.pool_size, self.config.pool_stride)
        return functional.relu(pooled)


class Classifier(nn.Module):
    """The network with the three outputs of the model file's contract.

    Args:
        network: maps uint8 images to logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return `logits` `[N, K]`, `probabilities` `[N, K]` and `label` int64 `[N]`."""
        logits = self.network(images)
        return logits, torch.softmax(logits, dim=1), torch.argmax(logits, dim=1)
