"""What the standard leaves to the engine: where answers differ in that, nobody is wrong."""

from __future__ import annotations

__all__ = ["find_left_open"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.runtimes.element_types import is_float

if TYPE_CHECKING:
    from toolkit.runtimes.taking_apart import LooseNode

Values = Mapping[str, NDArray[Any]]


def find_left_open(node: LooseNode, feeds: Values, made: Values) -> str:
    """Return what the standard leaves open in one node on these values; empty where it says everything.

    Args:
        node: which.
        feeds: what it is given.
        made: an answer of it, in the file's own types.

    Sources: "If 'sorted' is not 1, the order of returned 'Values' and 'Indices' are undefined" (TopK); the table of
    Cast, where a float outside of the integer type's range is undefined, as is one that is not finite.
    """
    if node.domain:
        return ""
    if node.operator == "TopK" and node.attributes.get("sorted") == "0":
        return "with sorted=0 the standard leaves the order to the engine; give it sorted=1 to have one"
    kinds = [array.dtype for array in made.values() if array.dtype.kind in "iu"]
    if node.operator == "Cast" and kinds and not all(_has_place(array, kinds[0]) for array in feeds.values()):
        return f"the standard leaves open what a number becomes that {kinds[0]} cannot hold; clip it before the cast"
    return ""


def _has_place(array: NDArray[Any], kind: np.dtype[Any]) -> bool:
    if not is_float(array.dtype):
        return True
    limits = np.iinfo(kind)
    wide = np.trunc(array.astype(np.float64))
    # The largest of 64 bits is no float64; the number after it is.
    return bool(((wide >= float(limits.min)) & (wide < float(limits.max) + 1)).all())
