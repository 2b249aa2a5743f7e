"""What the headers of many pictures promise: their sizes, formats and depth, before any pixel is decoded."""

from __future__ import annotations

__all__ = ["SizeSeen", "Survey", "choose_spec", "judge_header", "survey_files"]

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit.card import InputSpec
from toolkit.counts import count_of
from toolkit.data.formats.tree import PictureStore
from toolkit.data.formats.unusable import UnusablePictures
from toolkit.data.trainable import propose_size
from toolkit.errors import DataError
from toolkit.imaging.decode import ImageHeader, read_image_header, see_depth
from toolkit.imaging.pixel_values import Depth
from toolkit.network.config import LARGEST_IMAGE, SMALLEST_IMAGE
from toolkit.progress import OnNote


class SizeSeen(NamedTuple):
    """A size among many: how often, and the first picture that has it."""

    pictures: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the headers of many pictures promise.

    Attributes:
        sizes: by (height, width).
        formats: how many pictures of each, by Pillow's word.
        is_grey: whether all are stored as grey.
        bits: the depth of all, see `Depth`.
        titles: of the first picture of each size.
        notes: sentences about their depth.
    """

    sizes: dict[tuple[int, int], SizeSeen]
    formats: Counter[str]
    is_grey: bool
    bits: int
    titles: dict[tuple[int, int], str]
    notes: tuple[str, ...]

    @property
    def proposed_size(self) -> tuple[int, int]:
        """The (height, width) to which all can be brought."""
        return propose_size(size for size, seen in self.sizes.items() for _ in range(seen.pictures))


def survey_files(store: PictureStore, places: npt.NDArray[np.int64], *, on_damage: OnNote | None = None) -> Survey:
    """Read every header, and the pixels of those whose numbers are wider than bytes.

    Args:
        store: where the pictures lie.
        places: int64 `[N]`, which.
        on_damage: called with what is wrong with a picture, which is then left out; None: that is an error.

    Raises:
        DataError: pictures are damaged; all are counted, the first are named.
    """
    sizes: dict[tuple[int, int], SizeSeen] = {}
    formats: Counter[str] = Counter()
    is_grey, deep = True, []
    depth = Depth()
    with UnusablePictures() as unusable:
        for position, header in _read_headers(store, places):
            if isinstance(header, DataError):
                if on_damage is None:
                    unusable.add(position, title=store.title(int(places[position])), problem=str(header))
                else:
                    on_damage(str(header))
                continue
            is_grey = is_grey and header.is_grey
            deep += [position] if header.is_deep else []
            formats[header.format] += 1
            size = (header.height, header.width)
            seen = sizes.get(size, SizeSeen(0, position))
            sizes[size] = SizeSeen(seen.pictures + 1, min(seen.first, position))
        deep.sort()
        deep_places = places[np.array(deep, np.int64)]
        for position, content in store.read(deep_places.tolist()):  # alone, a dark one would be taken for another depth
            title = store.title(int(deep_places[position]))
            with unusable.caught(deep[position], title=title):
                see_depth(content, depth, name=title)
    bits, notes = depth.bits(), tuple[str, ...]()
    if said := depth.describe(bits):
        first = store.title(int(deep_places[0]))
        notes = (f"warning: {count_of(len(deep), 'image')} of 16-bit grey, as {first}: {said}, all alike",)
    titles = {size: store.title(int(places[seen.first])) for size, seen in sizes.items()}
    return Survey(sizes=sizes, formats=formats, is_grey=is_grey, bits=bits, titles=titles, notes=notes)


def _read_headers(store: PictureStore, places: npt.NDArray[np.int64]) -> Iterator[tuple[int, ImageHeader | DataError]]:
    """Yield every picture's header, or what is wrong with it; those that the store knows are not read again."""
    unknown = [position for position, place in enumerate(places.tolist()) if place not in store.headers]
    for position in sorted({*range(len(places))} - {*unknown}):
        yield position, store.headers[int(places[position])]
    for number, content in store.read(places[unknown].tolist()):
        yield unknown[number], judge_header(content, name=store.title(int(places[unknown[number]])))


def judge_header(content: bytes | str, *, name: str) -> ImageHeader | DataError:
    """Return a picture's header, or what is wrong with it."""
    try:
        return read_image_header(content, name=name)
    except DataError as error:
        return error


def choose_spec(survey: Survey, *, size: tuple[int, int] | None) -> InputSpec:
    """Return what the pictures are brought to: their common size where none is asked for.

    Raises:
        DataError: they have no common size, or one that no network is made for; names a picture and the mend.
    """
    in_order = sorted(survey.sizes, key=lambda each: survey.sizes[each].first)
    first = in_order[0]
    if size is None and len(in_order) > 1:
        seen = f"{survey.titles[in_order[1]]} is {_name_size(in_order[1])}"
        raise DataError(f"{seen}; expected {_name_size(first)} as {survey.titles[first]} is{_mend(survey)}")
    if size is None and not SMALLEST_IMAGE <= min(first) <= max(first) <= LARGEST_IMAGE:
        seen = f"{survey.titles[first]} is {_name_size(first)}"
        raise DataError(f"{seen}; expected {SMALLEST_IMAGE} to {LARGEST_IMAGE} pixels a side{_mend(survey)}")
    height, width = size or first
    fit = "none" if size is None else "stretch"
    return InputSpec(height=height, width=width, channels=1 if survey.is_grey else 3, fit=fit, bits=survey.bits)


def _name_size(size: Sequence[int]) -> str:
    return f"{size[0]} high and {size[1]} wide"


def _mend(survey: Survey) -> str:
    height, width = survey.proposed_size
    return f"; resize all of them with --size {height}x{width} (height x width)"
