"""mnist-mini: what is embedded, and that the rule builds it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from idx_files import encode_idx
from small_training import take_stratified

from toolkit.data import load, load_dataset
from toolkit.data.dataset import Split
from toolkit.data.load import MINI_FOLDER, load_mini
from toolkit.data.split import hold_out
from toolkit.errors import DataError

STEMS = {"train": "train", "test": "t10k"}
PER_CLASS = {"train": 500, "test": 100}


def test_mini_is_stratified_and_of_the_mnist_family() -> None:
    dataset = load_dataset("mnist-mini")
    assert np.bincount(dataset.train.labels).tolist() == [500] * 10
    assert np.bincount(dataset.test.labels).tolist() == [100] * 10
    assert dataset.train.images.shape == (5000, 28, 28)
    assert (dataset.name, dataset.polarity, dataset.fit) == ("mnist-mini", "light-on-dark", "mnist")
    assert dataset.licence == "CC-BY-SA-3.0"
    assert dataset.classes == tuple("0123456789")


@pytest.mark.parametrize("count", [100, 500, 833, 1000])
def test_last_images_hold_every_class_about_equally(count: int) -> None:
    _, validation = hold_out(load_mini().train, count)
    counts = np.bincount(validation.labels, minlength=10)
    assert counts.min() > 0.7 * count / 10
    assert counts.max() < 1.3 * count / 10


def test_files_are_small_and_attributed() -> None:
    assert sum(path.stat().st_size for path in MINI_FOLDER.iterdir()) < 1_500_000
    text = (MINI_FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for word in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "changed"):
        assert word in text


def test_damaged_embedded_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in MINI_FOLDER.glob("*.gz"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    victim = tmp_path / "t10k-images-idx3-ubyte.gz"
    data = bytearray(gzip.decompress(victim.read_bytes()))
    data[-1] ^= 1
    victim.write_bytes(data)
    monkeypatch.setattr(load, "MINI_FOLDER", tmp_path)
    with pytest.raises(DataError, match="install the package again"):
        load_mini()


def test_stratified_subset_keeps_order_and_spreads_over_each_class() -> None:
    labels = np.array([0, 1, 0, 0, 1, 0, 1, 1, 1, 0], dtype=np.int64)
    split = Split(images=np.arange(10, dtype=np.uint8).reshape(10, 1, 1), labels=labels)
    subset = take_stratified(split, 2)
    # Class 0 is at 0 2 3 5 9 and class 1 at 1 4 6 7 8: numbers 0 and 2 of each.
    assert subset.images.ravel().tolist() == [0, 1, 3, 6]
    assert subset.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.slow
def test_rule_rebuilds_the_embedded_files_from_full_mnist() -> None:
    full = load_dataset("mnist")
    for title, split in (("train", full.train), ("test", full.test)):
        subset = take_stratified(split, PER_CLASS[title])
        for content, array in (("images-idx3", subset.images), ("labels-idx1", subset.labels.astype(np.uint8))):
            embedded = (MINI_FOLDER / f"{STEMS[title]}-{content}-ubyte.gz").read_bytes()
            # Packed bytes differ between zlib versions; what they unpack to may not.
            assert encode_idx(array) == gzip.decompress(embedded)
