"""True labels told by the names of files, as in the tutorial's folder of own handwriting."""

from __future__ import annotations

__all__ = ["tell_truth"]

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def tell_truth(source: str, classes: Sequence[str]) -> str:
    """Return the class that a file's name begins with, the longest one where several fit, or "" where none does.

    For digits that is the first character: `7-second-try.png` is a 7.
    """
    name = unicodedata.normalize("NFC", source.replace("!", "/").replace("\\", "/").rsplit("/", 1)[-1])
    fitting = [label for label in classes if label and name.startswith(label)]
    return max(fitting, key=len, default="")
