"""Encoded pictures of a store, sorted into splits by their headers and brought to a model's input as a prediction does.

Decoding one picture depends on nothing but its bytes and what it is brought to, so photographs are decoded by a few
threads (Pillow gives the interpreter's lock away): neither their number nor their order is seen in the result.
"""

from __future__ import annotations

__all__ = ["DecodedFiles", "EncodedPictures", "decode_files"]

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
from toolkit.data.dataset import Split
from toolkit.data.formats.class_folders import ClassFiles, LabelledFiles
from toolkit.data.formats.idx import MAX_BODY_BYTES
from toolkit.data.formats.survey import Survey, choose_spec, survey_files
from toolkit.data.formats.tree import PictureStore
from toolkit.data.formats.unusable import UnusablePictures
from toolkit.data.gathered import GatheredPictures
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedPictures:
    """Files of a store, sorted into classes and splits; none is decoded.

    Attributes:
        name: the data set's.
        store: where they lie.
        files: which.
    """

    name: str
    store: PictureStore
    files: ClassFiles

    def survey(self) -> Survey:
        """Read every header.

        Raises:
            DataError: pictures are damaged; all are counted, the first are named.
        """
        return survey_files(self.store, self._list_all().places)

    def gather(
        self,
        *,
        survey: Survey | None = None,
        size: tuple[int, int] | None = None,
        progress: ShowProgress = tell_nobody,
        on_note: OnNote = lambda _: None,
        max_bytes: int = MAX_BODY_BYTES,
    ) -> GatheredPictures:
        """Decode all of them.

        The images are grey `[N, H, W]` where every file's pixels are stored as grey, else RGB `[N, H, W, 3]` with grey
        ones repeated; 16-bit grey has one depth (see `Depth`), EXIF rotation is applied, transparency is flattened.

        Args:
            survey: of `survey`, where it is at hand.
            size: (height, width) to which images are resized, as `fit_image` does for a model; None: all have one size.
            progress: called with (bytes of pixels done, bytes in all).
            on_note: called with a sentence about what was left out or is damaged around whole pixels.
            max_bytes: the most bytes of pixels.

        Raises:
            DataError: images that are damaged (the first are named), one of another size than the first or not 16 to
                128 pixels a side (it is named); more pixels than `max_bytes`.
        """
        files, title = self.files, self.store.root.title
        every = self._list_all()
        survey = survey or self.survey()
        spec = choose_spec(survey, size=size)
        image_bytes, count = int(np.prod(spec.shape)), len(every.places)
        if count * image_bytes > max_bytes:
            raise DataError(f"{title}: {count} images need {count * image_bytes} bytes; the cap is {max_bytes}")
        for sentence in (*files.notes, *survey.notes):
            on_note(sentence)
        decoded = decode_files(self.store, every.places, spec=spec, progress=_scale(progress, image_bytes))
        decoded.tell_damage(title, on_note)
        cut, images = len(files.train.places) + len(files.validation.places), decoded.images
        return GatheredPictures(
            name=self.name,
            train=Split(images=images[:cut], labels=every.labels[:cut]),
            test=None if files.test is None else Split(images=images[cut:], labels=files.test.labels),
            num_validation=len(files.validation.places),
            classes=files.classes,
            bits=spec.bits,
        )

    def _list_all(self) -> LabelledFiles:
        """Return the training images, those for validation, those for testing."""
        training = self.files.train + self.files.validation
        return training if self.files.test is None else training + self.files.test


def _scale(progress: ShowProgress, factor: int) -> ShowProgress:
    return lambda done, total: progress(done * factor, None if total is None else total * factor)
