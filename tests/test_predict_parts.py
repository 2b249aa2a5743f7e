"""The small parts of prediction: cache, batch size, gallery, truths."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging_samples import encode
from prediction_samples import SPEC, answers_of, image_item

from toolkit.card import InputSpec
from toolkit.errors import ResourceError
from toolkit.imaging import decode as decode_module
from toolkit.prediction.batch_size import measure_batches
from toolkit.prediction.blocks import Answers, Block
from toolkit.prediction.cache import PictureCache
from toolkit.prediction.gallery import GalleryPicker
from toolkit.prediction.items import Item
from toolkit.prediction.prepare_items import Preparation, prepare_items
from toolkit.prediction.truths import tell_truth

PREPARATION = Preparation(spec=SPEC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        image = np.zeros((8, 8), np.uint8)
        image[0, 0] = number
        (tmp_path / f"{number}.png").write_bytes(encode(image))
    (tmp_path / "broken.png").write_bytes(b"no image")
    return tmp_path


def items_of(folder: Path) -> list[Item]:
    return [image_item(path.name, str(path)) for path in sorted(folder.glob("*.png"))]


def test_cached_pictures_are_not_decoded_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    real = decode_module.decode_image

    def decode(content: Any, *, name: str, bits: int | None) -> Any:
        decoded.append(name)
        return real(content, name=name, bits=bits)

    monkeypatch.setattr(decode_module, "decode_image", decode)
    with PictureCache(folder / "c" / "p.sqlite", PREPARATION) as cache:
        first = prepare_items(items_of(folder), PREPARATION, cache=cache)
    assert len(decoded) == 5
    decoded.clear()
    with PictureCache(folder / "c" / "p.sqlite", PREPARATION) as cache:
        second = prepare_items(items_of(folder), PREPARATION, cache=cache)
    assert decoded == ["broken.png"]
    assert (first.images == second.images).all()
    assert (first.messages, first.places.tolist()) == (second.messages, second.places.tolist())


def test_changed_files_and_other_models_are_not_taken_from_the_cache(folder: Path) -> None:
    path = folder / "c.sqlite"
    with PictureCache(path, PREPARATION) as cache:
        prepare_items(items_of(folder), PREPARATION, cache=cache)
        assert len(cache.find(items_of(folder))) == 4
        os.utime(folder / "0.png", (1, 1))
        (folder / "1.png").write_bytes((folder / "1.png").read_bytes() + b" ")
        assert set(cache.find(items_of(folder))) == {2, 3}
    other = Preparation(spec=InputSpec(height=8, width=8, channels=1, polarity="light-on-dark"))
    with PictureCache(path, other) as cache:
        assert cache.find(items_of(folder)) == {}


def test_cache_that_is_none_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(ResourceError, match=r"cannot use the cache .*c\.sqlite"):
        PictureCache(tmp_path / "c.sqlite", PREPARATION)


def test_two_processes_worth_of_caches_may_write_at_once(folder: Path) -> None:
    with PictureCache(folder / "c.sqlite", PREPARATION) as one, PictureCache(folder / "c.sqlite", PREPARATION) as two:
        for cache in (one, two):
            prepare_items(items_of(folder), PREPARATION, cache=cache)
    base = sqlite3.connect(folder / "c.sqlite")
    assert base.execute("SELECT count(*) FROM pictures").fetchone() == (4,)
    base.close()


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


def block_for(answers: Answers) -> Block:
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
