"""Eleven families of corrupted test images, each at one stated severity: how a model fares off the beaten track.

The families are those of MNIST-C (Mu and Gilmer 2019, arXiv:1906.02337); code and severities are our own, chosen so
that a person still reads the digits. They are for judging, not for training: blur, which `best` trains on, is left out
of the mean. `affine` is of a kind that training may draw from as well, so it turns further than training does.

Shapes: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

__all__ = ["FAMILIES", "FOREIGN", "Family", "corrupt_images"]

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corruptions import pixels, shapes
from toolkit.errors import UsageError, suggest

Array = NDArray[np.float32]

# Images are corrupted this many at a time: memory stays bounded, and what an image gets depends on its place alone.
CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One way to spoil images.

    Attributes:
        name: as in reports.
        severity: the parameters; lengths are shares of an image's shorter side, brightness is 0 to 1.
        apply: float32 `[N, H, W, C]` of 0 to 1 and a generator in, float32 of the same shape out.
        is_trained: whether a recipe of the product trains on its like; it is judged, but left out of the mean.
    """

    name: str
    severity: Mapping[str, float]
    apply: Callable[..., Array]
    is_trained: bool = False


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(name="noise", severity={"sigma": 0.25, "impulse_share": 0.04}, apply=pixels.add_noise),
        Family(name="blur", severity={"sigma": 0.055}, apply=pixels.blur, is_trained=True),
        Family(
            name="affine",
            severity={"least_degrees": 30.0, "most_degrees": 35.0, "shear": 0.2, "scale": 0.9},
            apply=shapes.transform_affine,
        ),
        Family(name="brightness", severity={"contrast": 0.45, "raised": 0.5}, apply=pixels.brighten),
        Family(name="stripe", severity={"width": 0.2}, apply=shapes.invert_stripe),
        Family(name="fog", severity={"density": 0.65}, apply=pixels.add_fog),
        Family(name="spatter", severity={"share": 0.12, "blob": 0.045, "opacity": 0.8}, apply=pixels.spatter),
        Family(name="lines", severity={"width": 0.07, "dash": 0.1, "gap": 0.07}, apply=shapes.draw_dotted_line),
        Family(
            name="zigzag",
            severity={"width": 0.05, "period": 0.3, "amplitude": 0.12},
            apply=shapes.draw_zigzag,
        ),
        Family(name="edges", severity={"sigma": 0.035, "low": 0.1, "high": 0.25}, apply=pixels.keep_edges),
        # In the place of blur, named before any network that was trained on blur was judged:
        # docs/decisions/0009-robustness.md.
        Family(name="elastic", severity={"sigma": 0.1, "reach": 0.045}, apply=shapes.bend_elastic),
    )
}
# Those that no recipe trains on the like of: what the mean is of.
FOREIGN = tuple(name for name, family in FAMILIES.items() if not family.is_trained)


def corrupt_images(images_NHW: NDArray[np.uint8], family: str, *, seed: int = 0) -> NDArray[np.uint8]:
    """Corrupt images.

    What an image gets depends on its content, its place, the family and the seed; not on how many follow it.

    Args:
        images_NHW: uint8 `[N, H, W]` or `[N, H, W, 3]`, 16 to 128 pixels a side for the severities to be meant.
        family: a name in `FAMILIES`.
        seed: of everything random.

    Returns:
        uint8, a new array of the same shape.

    Raises:
        UsageError: the family is unknown.
    """
    if family not in FAMILIES:
        raise UsageError(f"unknown family {family!r}{suggest(family, FAMILIES)}; known are {', '.join(FAMILIES)}")
    chosen, result = FAMILIES[family], np.empty_like(images_NHW)
    trailing = () if images_NHW.ndim == 4 else (1,)
    for start in range(0, len(images_NHW), CHUNK):
        chunk = images_NHW[start : start + CHUNK]
        # Always a whole chunk: a generator's draws for an image then do not depend on how many follow.
        whole = np.zeros((CHUNK, *images_NHW.shape[1:], *trailing), np.float32)
        whole[: len(chunk)] = chunk.reshape(*chunk.shape, *trailing) / np.float32(255)
        generator = np.random.default_rng([seed, zlib.crc32(family.encode()), start])
        spoilt = chosen.apply(whole, generator, **chosen.severity)[: len(chunk)]
        result[start : start + CHUNK] = np.rint(np.clip(spoilt, 0, 1) * 255).reshape(chunk.shape)
    return result
