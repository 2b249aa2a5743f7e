"""The pictures by which kits are judged are the same every time, and the product both doubts and trusts some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from doubtful_pictures import NUM_LARGE, NUM_OWN, large_pictures, own_size_pictures, product_verdicts

from toolkit.card import InputSpec

GREY = InputSpec(height=28, width=28, channels=1, polarity="light-on-dark", fit="mnist")
RGB = InputSpec(height=32, width=40, channels=3)


def test_pictures_are_the_same_every_time() -> None:
    for first, second, count in (
        (own_size_pictures(GREY), own_size_pictures(GREY), NUM_OWN),
        (own_size_pictures(RGB), own_size_pictures(RGB), NUM_OWN),
        (large_pictures(), large_pictures(), NUM_LARGE),
    ):
        assert len(first) == count
        assert all(np.array_equal(left, right) for left, right in zip(first, second, strict=True))
    assert {picture.shape for picture in own_size_pictures(RGB)} == {RGB.shape}


def test_the_product_doubts_some_of_them_for_several_reasons_and_prepares_none_of_its_own_size(
    model_path: Path,
) -> None:
    for pictures, is_own in ((own_size_pictures(GREY), True), (large_pictures(), False)):
        verdicts = product_verdicts(model_path, pictures)
        doubtful = [verdict for verdict in verdicts if verdict.is_doubtful]
        assert 0.15 < len(doubtful) / len(verdicts) < 0.75
        assert len({verdict.reason.split(":")[0] for verdict in doubtful}) >= 4
        assert not is_own or all("inverted" not in verdict.message for verdict in verdicts)
