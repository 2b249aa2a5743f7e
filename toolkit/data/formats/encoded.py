"""Encoded pictures of a store, sorted into classes and splits: headers first, then pixels."""

from __future__ import annotations

__all__ = ["EncodedPictures"]

from dataclasses import dataclass

import numpy as np

from toolkit.data.dataset import Split
from toolkit.data.formats.class_folders import ClassFiles, LabelledFiles
from toolkit.data.formats.decoding import decode_files
from toolkit.data.formats.idx import MAX_BODY_BYTES
from toolkit.data.formats.survey import Survey, choose_spec, survey_files
from toolkit.data.formats.tree import PictureStore
from toolkit.data.gathered import GatheredPictures
from toolkit.errors import DataError
from toolkit.progress import OnNote, ShowProgress, tell_nobody


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
