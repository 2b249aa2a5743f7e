"""A module that classifies images, behind the contract of a model of ours: pixels in, logits, probabilities, label out.

Shapes: N images of H x W pixels, C channels, K classes.
"""

from __future__ import annotations

__all__ = ["ImageClassifier", "make_card", "make_golden_call"]

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.card import Card, InputSpec
from toolkit.exporting.model_file import MINIMUM, tell_versions
from toolkit.exporting.modules.config import ModuleExportConfig
from toolkit.exporting.reference import count_golden, pack_golden, synthetic_images
from toolkit.parity.references.feeds import FeedsReference
from toolkit.parity.references.made_feeds import FeedSet

GOLDEN = "golden"
DEEPEST = 255


class ImageClassifier(nn.Module):
    """A module behind raw pixels.

    Args:
        inner: images to logits `[N, K]`.
        config: its classes, and what its pixels are normalised by.
    """

    def __init__(self, inner: nn.Module, config: ModuleExportConfig) -> None:
        super().__init__()
        self.inner = inner
        self._num_classes = len(config.classes)
        self._is_normalised = bool(config.mean)
        self.mean: Tensor
        self.std: Tensor
        for name in ("mean", "std"):
            self.register_buffer(name, DEEPEST * torch.tensor(getattr(config, name)).reshape(-1, 1, 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return `logits` and `probabilities` `[N, K]` and `label` `[N]` of uint8 images `[N, H, W]` or `[N, H, W, 3]`.

        Raises:
            ValueError: the images are something else, or what the module answers is no row of logits for each.
        """
        if images.dtype != torch.uint8 or images.ndim not in {3, 4} or (images.ndim == 4 and images.shape[3] != 3):
            raise ValueError(
                f"images are {images.dtype} {list(images.shape)}; expected uint8 pixels, [N, height, width] or "
                "[N, height, width, 3]"
            )
        pixels = images
        if self._is_normalised:
            planes = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
            pixels = (planes.float() - self.mean) / self.std
        logits = self.inner(pixels)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] != self._num_classes:
            seen = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(f"the answer is {seen}; expected logits [N, {self._num_classes}], one for each class")
        return {"logits": logits, "probabilities": logits.softmax(1), "label": logits.argmax(1)}


def make_golden_call(images: NDArray[np.uint8], *, classes: int) -> tuple[FeedSet, ...]:
    """Return the call of which the golden vectors are made; of synthetic images, because one's own must not leak.

    Args:
        images: of the example.
        classes: their number.
    """
    count = count_golden(classes=classes, image_bytes=images[0].nbytes)
    return (FeedSet(GOLDEN, {"images": synthetic_images(images.shape[1:], count=count)}),) if count else ()


def make_card(
    reference: FeedsReference, *, config: ModuleExportConfig, name: str, network: dict[str, object], sha256: str
) -> Card:
    """Return the card of a classifier: what its owner said of it, and what its answers show.

    Args:
        reference: the module's answers.
        config: what was said.
        name: of the model.
        network: `preset` and `parameters`.
        sha256: of the file without its card.
    """
    known = {entry.name: entry for entry in reference.suites}
    height, width, *channels = next(iter(known.values())).feeds["images"].shape[1:]
    golden = known.get(GOLDEN)
    bound = max(entry.bounds["logits"] for entry in known.values())
    return Card(
        name=name,
        classes=config.classes,
        input=InputSpec(height=height, width=width, channels=channels[0] if channels else 1),
        standardisation={"mean": list(config.mean), "std": list(config.std), "computed_on": "pixels from 0 to 1"},
        precision="fp32",
        network=network,
        recipe={"name": "own module"},
        data={"name": "", "sha256": "", "train_count": 0, "test_count": 0, "licence": "NOASSERTION"},  # its owner knows
        checkpoint_sha256=sha256,
        bound={"logits": bound, "formula": reference.rule},
        golden=None
        if golden is None
        else pack_golden(golden.feeds["images"], golden.outputs["logits"], tolerance=golden.bounds["logits"]),
        minimum=MINIMUM,
        versions=tell_versions(),
        author=config.author,
        licence=config.licence,
    )
