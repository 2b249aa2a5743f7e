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
        values: numbers of inputs by name: one for all of an input, or one for each of its places.
    """

    given: Mapping[str, NDArray[Any]] | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))
    values: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if self.given is not None and (self.shapes or self.values):
            raise UsageError(
                "inputs that are given have their shapes and numbers; leave out --inputs, or --shape and --value"
            )

    @property
    def says_anything(self) -> bool:
        """Whether the user said anything of the inputs."""
        return self.given is not None or bool(self.shapes) or bool(self.values)
