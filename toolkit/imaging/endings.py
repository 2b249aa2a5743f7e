"""Which files are pictures by their names: those that are read, and those of other formats, counted with the next step.

Light: nothing is opened, and Pillow is not needed.
"""

from __future__ import annotations

__all__ = ["IMAGE_ENDINGS", "LeftOut", "is_image_name"]

from collections import Counter
from collections.abc import Iterable

IMAGE_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm"),
)
# Pictures all the same, by the names under which people know them; the commonest endings of each.
UNREAD_ENDINGS = {
    "HEIC": (".heic", ".heif", ".hif"),
    "AVIF": (".avif",),
    "JPEG XL": (".jxl",),
    "JPEG 2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "camera raw": (
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".srw", ".orf", ".rw2", ".raf"),
        *(".pef", ".rwl", ".raw", ".3fr", ".iiq", ".kdc", ".dcr", ".mrw", ".x3f"),
    ),
    "PSD": (".psd", ".psb"),
    "XCF": (".xcf",),
    "SVG": (".svg", ".svgz"),
    "PDF": (".pdf",),
    "PostScript": (".eps", ".ps", ".ai"),
    "icon": (".ico", ".cur", ".icns"),
    "TGA": (".tga",),
    "OpenEXR": (".exr",),
    "Radiance": (".hdr",),
    "DICOM": (".dcm", ".dicom"),
    "FITS": (".fits", ".fit", ".fts"),
}
_FORMATS = {ending: name for name, endings in UNREAD_ENDINGS.items() for ending in endings}
_LONGEST = max(map(len, (*IMAGE_ENDINGS, *_FORMATS)))
# Without loss where that costs little; photographs would become several times as large.
_PHOTOGRAPHS = {"HEIC", "AVIF", "JPEG XL", "JPEG 2000", "camera raw"}
# macOS keeps the attributes of x.png beside it in ._x.png, which is no picture.
APPLE_PREFIX = "._"


def is_image_name(path: str) -> bool:
    """Say whether the path of a file or a member ends like an image's and is not macOS's shadow of one."""
    return path[-_LONGEST:].lower().endswith(IMAGE_ENDINGS) and not _is_shadow(path)


class LeftOut:
    """Counts files that are left out, by format; however many there are, a few words are held.

    Args:
        names: paths of files or members, of any endings.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._formats: Counter[str] = Counter()
        self._endings: dict[str, str] = {}
        self._num_others = 0
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Count one more file."""
        end = name[-_LONGEST:]
        ending = end[end.rfind(".") :] if "." in end else ""
        kind = _FORMATS.get(ending.lower())
        if kind is None or _is_shadow(name):
            self._num_others += 1
        else:
            self._formats[kind] += 1
            self._endings.setdefault(kind, ending)

    def __bool__(self) -> bool:
        """Say whether anything was left out."""
        return bool(self.num_pictures or self._num_others)

    @property
    def num_pictures(self) -> int:
        """Files whose names say that they are pictures, of formats that are not read."""
        return self._formats.total()

    def __str__(self) -> str:
        """Return how many of what: `36 HEIC, 2 camera raw, 3 other files`."""
        counts = [f"{count:,} {name}" for name, count in self._formats.most_common()]
        if self._num_others:
            files = "file" if self._num_others == 1 else "files"
            counts.append(f"{self._num_others:,} " + (f"other {files}" if counts else f"{files} of other names"))
        return ", ".join(counts)

    @property
    def step(self) -> str:
        """What to do about the commonest of the pictures' formats, as the end of a sentence; "" where there is none."""
        if not self._formats:
            return ""
        kind = self._formats.most_common(1)[0][0]
        target = "jpg" if kind in _PHOTOGRAPHS else "png"
        phone = ', or set the phone to "Most Compatible"' if kind == "HEIC" else ""
        return f"; convert {kind} to PNG or JPEG: magick mogrify -format {target} *{self._endings[kind]}{phone}"


def _is_shadow(path: str) -> bool:
    return APPLE_PREFIX in path and path.replace("\\", "/").rpartition("/")[2].startswith(APPLE_PREFIX)
