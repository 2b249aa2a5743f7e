"""Where a stranger's inputs come from."""

from __future__ import annotations

__all__ = ["FeedConfig"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from toolkit.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedConfig:
    """Where a stranger's inputs come from.

    Attributes:
        given: every input by name, used as it is; None to make some.
        shapes: whole shapes of inputs whose sizes are open, by name.
    """

    given: Mapping[str, NDArray[Any]] | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.given is not None and self.shapes:
            raise UsageError("inputs that are given have their shapes; leave out --shape or --inputs")
