"""What has to be closed after use: `with` closes it."""

from __future__ import annotations

__all__ = ["Closing"]

from types import TracebackType
from typing import Self


class Closing:
    """A context manager that gives back what it holds at the end; subclasses that hold something override `close`."""

    def close(self) -> None:
        """Give back what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
