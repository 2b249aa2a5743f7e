"""Modules as a user brings them: of torchvision's size, with several inputs and outputs, with open lengths; and bad ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Encoder", "Pairs", "ResNet18", "Sums", "make_module"]


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, images: Tensor) -> Tensor:
        kept = torch.relu(self.first_norm(self.first(images)))
        return torch.relu(self.second_norm(self.second(kept)) + self.shortcut(images))


class ResNet18(nn.Module):
    """The network of that name: 11,689,512 parameters, as torchvision's."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        sizes = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
        self.stages = nn.Sequential(
            *(
                part
                for before, after, stride in sizes
                for part in (Residual(before, after, stride), Residual(after, after, 1))
            )
        )
        self.classify = nn.Linear(512, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.stages(self.stem(images)).mean((2, 3)))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Tokens of any length to as many scores; the table of the first layer is that of the last."""

    def __init__(self, tokens: int = 30, width: int = 16) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens, width)
        self.layer = nn.TransformerEncoderLayer(width, 2, 32, batch_first=True)
        self.score = nn.Linear(width, tokens)
        self.score.weight = self.table.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.score(self.layer(self.table(tokens)))  # type: ignore[no-any-return]


class Pairs(nn.Module):
    """Tokens and features to a score and its class: two inputs, two outputs, a buffer, dropout, a normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 8)
        self.tokens = nn.Linear(8, 4)
        self.features = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("scale", torch.tensor(2.0))
        self.mix = torch.eye(4).roll(1, 0)  # that torch does not know of

    def forward(self, tokens: Tensor, features: Tensor) -> dict[str, Tensor]:
        joined = torch.relu(self.tokens(self.table(tokens)).mean(1) + self.features(features))
        scores = self.drop(self.norm(joined)) * self.scale @ self.mix
        return {"scores": scores, "best": scores.argmax(1)}


@dataclass
class Sums:
    """What a module may return."""

    total: Tensor
    parts: tuple[Tensor, Tensor]
    nothing: None = None


def make_module(forward: Callable[..., Any], **parts: Any) -> nn.Module:
    """Return a module in eval mode with one linear layer, 4 to 3, further parts, and this `forward`."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)
            for name, part in parts.items():
                setattr(self, name, part)

    Own.forward = forward  # type: ignore[method-assign]
    torch.manual_seed(0)
    return Own().eval()
