"""Pictures that cannot be used, gathered over one pass: told together, not one at each try."""

from __future__ import annotations

__all__ = ["UnusablePictures"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from toolkit.errors import DataError

MOST_NAMED = 5


class UnusablePictures:
    """What is wrong with pictures: all are counted, the first few by their numbers are kept, as text.

    Around a pass it is checked at its end; also where a file that holds them cannot be read on, as that came later.
    """

    def __init__(self) -> None:
        self._count = 0
        self._first: list[tuple[int, str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *caught: object) -> None:
        if kind is None or issubclass(kind, DataError):
            self.check()

    def add(self, number: int, *, title: str, problem: str) -> None:
        """Take note of a picture.

        Args:
            number: its own, by which it comes before others.
            title: what it is called in messages.
            problem: the whole message, which begins with the title.
        """
        self._count += 1
        self._first = sorted([*self._first, (number, title, problem)])[:MOST_NAMED]

    @contextmanager
    def caught(self, number: int, *, title: str) -> Iterator[None]:
        """Take note of a picture where it turns out that it cannot be used."""
        try:
            yield
        except DataError as error:
            self.add(number, title=title, problem=str(error))

    def check(self) -> None:
        """Raise where there is any.

        Raises:
            DataError: of one picture its own message; of several their number, and what is wrong with the first.
        """
        if self._count == 1:
            raise DataError(self._first[0][2])
        if self._count:
            # What is expected of a picture, and the next step, are told once for all.
            told = [title + problem.removeprefix(title).partition("; ")[0] for _, title, problem in self._first]
            more = [f"{self._count - len(told):,} more"] if self._count > len(told) else []
            raise DataError(
                f"{self._count:,} pictures cannot be used: {'; '.join([*told, *more])}; "
                "remove them, or get the files again"
            )
