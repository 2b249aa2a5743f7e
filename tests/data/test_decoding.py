"""Photographs decoded by threads: the same bytes, all faults told in order, and no more in memory than is meant."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from image_folders import load_image_folder, open_image_folder
from imaging_samples import encode

from toolkit.card import InputSpec
from toolkit.data.formats import decoding
from toolkit.data.formats.decoding import decode_files
from toolkit.errors import DataError

SPEC = InputSpec(height=16, width=16, channels=3, fit="stretch")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(rng.integers(0, 256, (60 + number, 80, 3), np.uint8), "JPEG"))
    return tmp_path / "photos"


@pytest.fixture
def threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "SMALL_FILE_BYTES", 0)
    monkeypatch.setattr(decoding, "SMALL_PIXELS", 0)


def test_threads_do_not_show_in_the_result(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = load_image_folder(photos, size=(16, 16)).sha256
    monkeypatch.setattr(decoding, "SMALL_FILE_BYTES", 0)
    monkeypatch.setattr(decoding, "SMALL_PIXELS", 0)
    seen: set[str] = set()
    real = decoding.decode_image

    def decode(*arguments: object, **options: object) -> object:
        seen.add(threading.current_thread().name)
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "decode_image", decode)
    assert load_image_folder(photos, size=(16, 16)).sha256 == alone
    assert threading.main_thread().name not in seen


@pytest.mark.usefixtures("threaded")
def test_no_more_pixels_are_in_flight_than_meant(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most, now, lock = 0, 0, threading.Lock()
    monkeypatch.setattr(decoding, "PIXELS_IN_FLIGHT", 2 * 83 * 80)
    real = decoding.prepare_image

    def prepare(pixels: np.ndarray, spec: InputSpec) -> object:
        nonlocal most, now
        with lock:
            now += pixels.shape[0] * pixels.shape[1]
            most = max(most, now)
        try:
            return real(pixels, spec)
        finally:
            with lock:
                now -= pixels.shape[0] * pixels.shape[1]

    monkeypatch.setattr(decoding, "prepare_image", prepare)
    pictures = open_image_folder(photos)
    decode_files(pictures.store, pictures.files.train.places, spec=SPEC)
    assert 0 < most <= 2 * 83 * 80


@pytest.mark.usefixtures("threaded")
def test_faults_are_counted_and_the_first_are_told_in_order(photos: Path) -> None:
    for number in (2, 4, 6, 10, 14, 18, 20):
        path = photos / "a" / f"{number:02}.jpg"
        path.write_bytes(path.read_bytes()[:-400])
    pictures = open_image_folder(photos)
    named = "; ".join(rf"\S*a/{number:02}\.jpg is damaged: [^;]*" for number in (2, 4, 6, 10, 14))
    told = f"^7 pictures cannot be used: {named}; 2 more; remove them, or get the files again$"
    for _ in range(5):
        with pytest.raises(DataError, match=told):
            decode_files(pictures.store, pictures.files.train.places, spec=SPEC)


@pytest.mark.usefixtures("threaded")
def test_progress_counts_every_picture(photos: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    pictures = open_image_folder(photos)
    decode_files(
        pictures.store, pictures.files.train.places, spec=SPEC, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(number, 24) for number in range(1, 25)]
