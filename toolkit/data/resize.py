"""A data set's images brought to another size, as a prediction would bring them to a model's."""

from __future__ import annotations

__all__ = ["resize_dataset"]

from dataclasses import replace

import numpy as np

from toolkit.card import InputSpec
from toolkit.data.dataset import Dataset, Split
from toolkit.imaging.fit import fit_image


def resize_dataset(dataset: Dataset, size: tuple[int, int]) -> Dataset:
    """Resize every image by `fit_image`'s `stretch`; a data set that has the size is returned as it is.

    Args:
        dataset: images of any size.
        size: (height, width) in pixels.
    """
    if size == (dataset.height, dataset.width):
        return dataset
    spec = InputSpec(height=size[0], width=size[1], channels=dataset.channels, fit="stretch")
    return replace(dataset, train=_resize_split(dataset.train, spec), test=_resize_split(dataset.test, spec))


def _resize_split(split: Split, spec: InputSpec) -> Split:
    images = np.empty((len(split), *spec.shape), np.uint8)
    for place, image in zip(images, split.images, strict=True):
        place[...] = fit_image(image, spec)
    return replace(split, images=images)
