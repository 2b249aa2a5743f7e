from __future__ import annotations

import pytest

from toolkit.imaging.endings import LeftOut, is_image_name


@pytest.mark.parametrize("name", ["a.png", "A.JPG", "in/b.Tiff", "c.tif", "d.pgm", "e.PPM", "f.pbm", "g.pnm", "h.jfif"])
def test_names_of_what_is_read(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a.heic", "png", "a.png.txt", "._a.png", "in/._a.tif", "in\\._a.png", "", ".", "a."])
def test_names_of_what_is_not_read(name: str) -> None:
    assert not is_image_name(name)


def test_left_out_files_are_counted_by_format_the_commonest_first_with_the_step() -> None:
    names = [*(f"in/IMG_{n}.HEIC" for n in range(36)), "a.CR2", "b.dng", "notes.txt", "Makefile", "._x.heic"]
    left_out = LeftOut(names)
    assert str(left_out) == "36 HEIC, 2 camera raw, 3 other files"
    assert left_out.num_pictures == 38
    assert left_out.step == (
        '; convert HEIC to PNG or JPEG: magick mogrify -format jpg *.HEIC, or set the phone to "Most Compatible"'
    )


def test_drawings_become_png() -> None:
    assert LeftOut(["logo.svg"]).step == "; convert SVG to PNG or JPEG: magick mogrify -format png *.svg"


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "1 file of other names"), (["a", "b.txt"], "2 files of other names")]
)
def test_files_that_are_no_pictures_need_no_step(names: list[str], text: str) -> None:
    left_out = LeftOut(names)
    assert (str(left_out), left_out.step, bool(left_out)) == (text, "", bool(names))
    assert left_out.num_pictures == 0
