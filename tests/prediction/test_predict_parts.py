"""The small parts of prediction: batch size, gallery, truths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from prediction_samples import SPEC, answers_of

from toolkit.card import InputSpec
from toolkit.prediction.execute import measure_batches
from toolkit.prediction.pipeline.blocks import AnsweredBlock, Block
from toolkit.prediction.report import GalleryPicker
from toolkit.prediction.truths import tell_truth


class Clocked:
    """A runner that takes a fixed time per call and a time per image."""

    def __init__(self, *, call_s: float, image_s: float) -> None:
        self.now = 0.0
        self._call_s, self._image_s = call_s, image_s

    def run(self, feeds: Any) -> dict[str, Any]:
        self.now += self._call_s + self._image_s * len(feeds["images"])
        return {}


@pytest.mark.parametrize(("call_s", "chosen"), [(0.0, 16), (1e-4, 64), (1e-2, 512)])
def test_the_smallest_batch_that_is_nearly_best_is_chosen(call_s: float, chosen: int) -> None:
    runner = Clocked(call_s=call_s, image_s=5e-5)
    batch, rates = measure_batches(runner, SPEC, clock=lambda: runner.now)
    assert batch == chosen
    assert rates[64] == pytest.approx(64 / (call_s + 64 * 5e-5))


def test_batches_of_large_pictures_stay_small() -> None:
    runner = Clocked(call_s=0.0, image_s=1e-3)
    spec = InputSpec(height=4096, width=4096, channels=3)
    batch, rates = measure_batches(runner, spec, clock=lambda: runner.now)
    assert (batch, list(rates)) == (1, [1])


def block_for(answers: AnsweredBlock) -> Block:
    count = answers.num_rows
    places = np.flatnonzero(answers.labels >= 0)
    images = np.zeros((len(places), 8, 8), np.uint8)
    images[:, 0, 0] = places
    return Block(sources=answers.sources, indices=np.arange(count), images=images, places=places, messages={})


def test_gallery_keeps_the_least_sure_pictures_with_their_own_image() -> None:
    picker = GalleryPicker(most=3)
    rng = np.random.default_rng(0)
    everything: list[tuple[float, int]] = []
    for part in range(5):
        answers = answers_of([-1 if row % 7 == 3 else row % 3 for row in range(20)], start=100 * part)
        answers.probability[:] = np.where(answers.labels < 0, np.nan, rng.random(20))
        everything += [
            (float(p), int(i)) for p, i in zip(answers.probability, answers.indices, strict=True) if not np.isnan(p)
        ]
        picker.see(block_for(answers), answers)
    pictures = picker.pick()
    assert [(picture.probability, picture.index) for picture in pictures] == sorted(everything)[:3]
    assert all(picture.image[0, 0] == picture.index % 100 for picture in pictures)


@pytest.mark.parametrize(
    ("source", "classes", "truth"),
    [
        ("pictures/7-second.png", "0123456789", "7"),
        ("a.zip!inner/3.png", "0123456789", "3"),
        ("x.png", "0123456789", ""),
        ("cat-12.png", ("ca", "cat", "dog"), "cat"),
        ("c:\\scans\\dog.png", ("cat", "dog"), "dog"),
        ("", ("", "a"), ""),
    ],
)
def test_a_file_s_name_tells_its_class(source: str, classes: Any, truth: str) -> None:
    assert tell_truth(source, tuple(classes)) == truth
