"""What is known of one suite of calls before any engine is judged: images of a model of ours, or a stranger's feeds."""

from __future__ import annotations

__all__ = ["Expectation"]

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from toolkit.runtimes.base import Arrays
from toolkit.runtimes.judge import Judgement


class Expectation(Protocol):
    """The known answers of a suite, and the verdict on an engine's."""

    @property
    def name(self) -> str:
        """The suite's name."""

    @property
    def feeds(self) -> Mapping[str, NDArray[Any]]:
        """Every input by name, all calls in one."""

    @property
    def outputs(self) -> Mapping[str, NDArray[Any]]:
        """The known answers by output."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """All that an engine gives."""

    @property
    def bound(self) -> float:
        """The largest error of a float that rounding explains."""

    @property
    def is_of_images(self) -> bool:
        """Whether it belongs to a model of ours, which is fed images and answers logits."""

    def __len__(self) -> int:
        """Return the number of items."""

    def split(self, batch: int) -> tuple[Arrays, ...]:
        """Return the calls that ask for all of it in batches of at most this size."""

    def around(self, index: int, batch: int) -> tuple[int, Self]:
        """Return where the call that holds an item begins, and what is known of that call."""

    def image(self, position: int) -> NDArray[np.uint8] | None:
        """Return an item as an image, uint8 `[H, W]` or `[H, W, 3]`; None in a stranger's file."""

    def judge(self, outputs: Arrays) -> Judgement:
        """Compare an engine's outputs of all calls, joined along the first axis, with what is known."""
