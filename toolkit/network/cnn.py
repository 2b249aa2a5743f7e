"""The staged CNN as a torch module that takes raw pixels.

Shapes: N images, H rows, W columns, C channels, K classes.
"""

from __future__ import annotations

__all__ = ["CNN", "ContractNetwork"]

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.network.config import NetworkConfig, Stage, plan_stages

# Of one image, in units of the training images' variance: a flat one becomes 0 everywhere, a faint one no noise.
LEAST_VARIANCE = 1e-4


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
        self.stages = nn.ModuleList(_ConvStage(stage, config) for stage in plan_stages(config))
        features = config.flat_features
        if config.hidden_units:
            self.dense1 = nn.Linear(features, config.hidden_units)
            features = config.hidden_units
        self.dense2 = nn.Linear(features, config.classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # Glorot and Bengio 2010, and biases at 0: TensorFlow's defaults, so the tutorial's own start.
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.constant_(layer.bias, 0.0)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `[N, K]` for raw images `[N, H, W]` or `[N, H, W, 3]`, uint8 or of the weights' dtype."""
        pixels, shift = images.to(self.mean.dtype), self.config.test_shift_pixels
        if self.training or not shift:
            return self._logits(pixels)
        views = _shifted_views(pixels, shift)
        logits = self._logits(torch.cat(views))
        return logits.view(len(views), -1, self.config.classes).mean(dim=0)

    def _logits(self, pixels: Tensor) -> Tensor:
        pixels = self._standardise(pixels)
        if self.config.input_dropout:
            pixels = _drop_out(pixels, self.config.input_dropout, training=self.training)
        maps = pixels.unsqueeze(1) if self.config.channels == 1 else pixels.permute(0, 3, 1, 2)
        for stage in self.stages:
            maps = stage(maps)
        features = maps.flatten(1)
        if self.config.hidden_units:
            features = functional.relu(self.dense1(features))
        features = _drop_out(features, self.config.dropout, training=self.training)
        return self.dense2(features)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped

    def _standardise(self, pixels: Tensor) -> Tensor:
        if self.config.standardisation == "data":
            return (pixels - self.mean) / self.std
        # In units of the training images' deviation: float16 holds the squares and their sum.
        flat = (pixels / self.std).flatten(1)
        centred = flat - flat.mean(1, keepdim=True)
        own = ((centred * centred).mean(1, keepdim=True) + LEAST_VARIANCE).sqrt()
        return (centred / own).view(-1, *pixels.shape[1:])


def _shifted_views(images: Tensor, pixels: int) -> list[Tensor]:
    """Return the images and their shifts up, down, left and right; the freed border is 0.

    Args:
        images: `[N, H, W]` or `[N, H, W, 3]`.
        pixels: of the shifts.
    """
    height, width = images.shape[1:3]
    trailing = (0, 0) if images.ndim == 4 else ()
    padded = functional.pad(images, (*trailing, pixels, pixels, pixels, pixels))
    offsets = ((pixels, pixels), (0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels))
    return [padded[:, top : top + height, left : left + width] for top, left in offsets]


class _ConvStage(nn.Module):
    """Convolutions with ReLU, the last one pooled.

    Args:
        stage: the plan.
        config: the normalisation.
    """

    def __init__(self, stage: Stage, config: NetworkConfig) -> None:
        super().__init__()
        self.plan = stage
        has_norm = config.normalisation == "batch"
        self.convs = nn.ModuleList(
            nn.Conv2d(
                conv.input_channels, conv.output_channels, conv.kernel_size, padding=conv.padding, bias=not has_norm
            )
            for conv in stage.convs
        )
        norms = [nn.BatchNorm2d(conv.output_channels) if has_norm else nn.Identity() for conv in stage.convs]
        self.norms = nn.ModuleList(norms)

    def forward(self, maps: Tensor) -> Tensor:
        """Return pooled maps `[N, C, H', W']` of maps `[N, C, H, W]`."""
        last = len(self.convs) - 1
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            maps = conv(maps)
            if index == last:
                # Pooling before ReLU gives the same values (both are monotone), and what follows runs on a quarter.
                maps = _pool(maps, self.plan)
            maps = functional.relu(norm(maps))
        return maps


def _drop_out(values: Tensor, share: float, *, training: bool) -> Tensor:
    """Return the values with a random share of them at 0 and the others scaled up, as `functional.dropout` does."""
    if not training or not share or values.device.type != "cpu":
        return functional.dropout(values, share, training)
    # On a processor its mask comes from one thread, 12 ns a value: a tenth of a step of `fast`. Uniform numbers take
    # two fifths of that (docs/decisions/0008-speed.md).
    kept = torch.rand(values.shape) >= share
    return values * kept.to(values.dtype).mul_(1 / (1 - share))


def _pool(maps: Tensor, plan: Stage) -> Tensor:
    """Return the largest value of every window, maps `[N, C, H', W']`: the values of `max_pool2d`."""
    is_eager = torch.is_inference_mode_enabled() and not torch.compiler.is_compiling()
    if not is_eager or maps.device.type != "cpu" or not maps.is_contiguous():
        return functional.max_pool2d(maps, plan.pool_size, plan.pool_stride)
    # On a processor max_pool2d compares such maps one value at a time and keeps each place for a gradient, a third to a
    # half of the network's time. Lines at a time are a tenth of that (docs/decisions/0055-what-a-check-costs.md).
    for dim, window, step in zip((2, 3), plan.pool_size, plan.pool_stride, strict=True):
        maps = functools.reduce(torch.maximum, maps.unfold(dim, window, step).unbind(-1))
    return maps


class ContractNetwork(nn.Module):
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
