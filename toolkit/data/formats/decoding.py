"""Encoded pictures of a store brought to a model's input, exactly as a prediction brings them.

Decoding one picture depends on nothing but its bytes and what it is brought to, so photographs are decoded by a few
threads (Pillow gives the interpreter's lock away): neither their number nor their order is seen in the result.
"""

from __future__ import annotations

__all__ = ["DecodedFiles", "decode_files"]

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.counts import count_of
from toolkit.data.formats.tree import PictureStore
from toolkit.data.formats.unusable import UnusablePictures
from toolkit.errors import DataError
from toolkit.imaging.decode import decode_image, read_image_header
from toolkit.imaging.prepare import prepare_image
from toolkit.progress import OnNote, ShowProgress, tell_nobody

MOST_THREADS = 4
# A smaller file is decoded at once, whatever it claims to be: only one such picture is held at a time.
SMALL_FILE_BYTES = 1 << 17
SMALL_PIXELS = 1_000_000
# In flight at a time. A pixel in colour takes 4 bytes of Pillow's, 3 of NumPy's, and 4 while it is turned or resized.
PIXELS_IN_FLIGHT = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedFiles:
    """Pictures as a model takes them.

    Attributes:
        images: uint8 `[N, *spec.shape]`.
        changes: by position: what was done to a picture, in words.
        damage: by position: what is broken in its metadata.
        titles: of the pictures that have damage.
    """

    images: npt.NDArray[np.uint8]
    changes: dict[int, str] = field(default_factory=dict)
    damage: dict[int, tuple[str, ...]] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)

    def tell_damage(self, title: str, on_note: OnNote) -> None:
        """Say of each kind of damage how many pictures have it."""
        by_kind: dict[str, list[str]] = {}
        for position in sorted(self.damage):
            for kind in self.damage[position]:
                by_kind.setdefault(kind, []).append(self.titles[position])
        for kind, titles in by_kind.items():
            on_note(f"{title}: {count_of(len(titles), 'image')}: {kind}; the first is {min(titles)}")


def decode_files(
    store: PictureStore, places: npt.NDArray[np.int64], *, spec: InputSpec, progress: ShowProgress = tell_nobody
) -> DecodedFiles:
    """Decode pictures and bring them to a model's input, in about a gigabyte whatever their size.

    Args:
        store: where they lie.
        places: int64 `[N]`, which.
        spec: what the model takes.
        progress: called with (pictures done, N).

    Raises:
        DataError: pictures that cannot be used; all are counted, the first are named.
    """
    decoded = DecodedFiles(images=np.empty((len(places), *spec.shape), np.uint8))

    def decode(position: int, content: bytes | str) -> None:
        title = store.title(int(places[position]))
        picture = decode_image(content, name=title, bits=spec.known_bits)
        try:
            decoded.images[position], note = prepare_image(picture.pixels, spec)
        except DataError as error:
            raise DataError(f"{title}: {error}") from error
        if picture.notes or note:
            decoded.changes[position] = "; ".join(filter(None, (*picture.notes, note)))
        if picture.damage:
            decoded.damage[position], decoded.titles[position] = picture.damage, title

    with UnusablePictures() as unusable, _Decoders(decode, unusable) as decoders:
        for done, (position, content) in enumerate(store.read(places.tolist()), start=1):
            decoders.take(position, content, title=store.title(int(places[position])))
            progress(done, len(places))
    return decoded


class _Decoders:
    """Small pictures are decoded at once, large ones by threads, as many as their pixels allow.

    Args:
        decode: called with a picture's position and content.
        unusable: is told of those that cannot be decoded.
    """

    def __init__(self, decode: Callable[[int, bytes | str], None], unusable: UnusablePictures) -> None:
        self._decode = decode
        self._unusable = unusable
        self._pool = ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1))
        self._flying: deque[tuple[Future[None], int, str, int]] = deque()
        self._pixels = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *caught: object) -> None:
        try:
            while self._flying:
                self._land()
        finally:
            self._pool.shutdown(cancel_futures=True)

    def take(self, position: int, content: bytes | str, *, title: str) -> None:
        """Decode a picture, now or soon."""
        with self._unusable.caught(position, title=title):
            pixels = _count_pixels(content, title)
            if pixels <= SMALL_PIXELS:
                self._decode(position, content)
                return
            while self._flying and (self._pixels + pixels > PIXELS_IN_FLIGHT or len(self._flying) >= MOST_THREADS):
                self._land()
            self._pixels += pixels
            self._flying.append((self._pool.submit(self._decode, position, content), position, title, pixels))

    def _land(self) -> None:
        future, position, title, pixels = self._flying.popleft()
        self._pixels -= pixels
        with self._unusable.caught(position, title=title):
            future.result()


def _count_pixels(content: bytes | str, title: str) -> int:
    """Return how many pixels a file claims, 0 for a small one."""
    num_bytes = len(content) if isinstance(content, bytes) else _file_bytes(content)
    if num_bytes <= SMALL_FILE_BYTES:
        return 0
    header = read_image_header(content, name=title)
    return header.height * header.width


def _file_bytes(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - no Path for 100,000 names
    except (OSError, ValueError):  # it is told by whoever opens it
        return 0
