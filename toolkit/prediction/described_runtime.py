"""A runtime on other machines, of which only its description is here."""

from __future__ import annotations

__all__ = ["DescribedRuntime"]

from typing import TYPE_CHECKING, Any

from toolkit.closing import Closing
from toolkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from toolkit.runtimes.base import RuntimeInfo


class DescribedRuntime(Closing):
    """What runs elsewhere.

    Args:
        info: as a worker has told.
    """

    def __init__(self, info: RuntimeInfo) -> None:
        self.info = info

    def run(self, feeds: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Refuse: jobs are sent to the cluster.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.info.runtime} runs on other machines; {len(feeds)} inputs cannot be given to it here")

    def close(self) -> None:
        """Do nothing: it is not here."""
