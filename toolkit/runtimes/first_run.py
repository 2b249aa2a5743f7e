"""The first run on a provider: it may open and fail only when a convolution runs, because cuDNN is loaded that late."""

from __future__ import annotations

__all__ = ["Opened", "run_first"]

from typing import Any, Protocol

from numpy.typing import NDArray

from toolkit.errors import ModelError, ProviderError
from toolkit.runtimes.base import Arrays, RuntimeInfo


class Opened(Protocol):
    """A runtime, or a worker with its face."""

    info: RuntimeInfo

    def run(self, feeds: Arrays) -> dict[str, NDArray[Any]]:
        """Execute the model once."""


def run_first(opened: Opened, feeds: Arrays) -> dict[str, NDArray[Any]]:
    """Run a model for the first time and return its outputs.

    Raises:
        ProviderError: a provider other than the CPU opened the model and cannot run it.
        ModelError: the model cannot be run on the CPU.
    """
    try:
        return opened.run(feeds)
    except ModelError as error:
        provider = opened.info.provider_active
        if provider == "cpu":
            raise
        raise ProviderError(
            f"provider {provider} opens but cannot run this model: {error}; see what is missing with: toolkit doctor"
        ) from error
