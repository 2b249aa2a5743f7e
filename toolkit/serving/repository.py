"""The models that are served, by name and version: found, looked after, and what they answer counted.

Nothing here knows by which protocol a request came.
"""

from __future__ import annotations

__all__ = ["EXTENSIONS", "HeldBytes", "ModelRepository", "describe_server"]

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import toolkit
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.served_model import ServedModel

REASONS = {
    401: "unauthorised",
    413: "too_large",
    429: "overloaded",
    499: "client_gone",
    503: "unavailable",
    504: "late",
}
# Of all bodies together, in memory: so much, or so many of the largest.
LEAST_HELD_BYTES, LARGEST_HELD = 256 << 20, 4


# Of the protocol, whatever it travels by.
EXTENSIONS = ("classification", "statistics", "model_configuration", "parameters")


@dataclass(slots=True)
class HeldBytes:
    """Bytes of bodies that are in memory, of all requests together.

    Attributes:
        most: at the same time.
        now: at this time.
    """

    most: int
    now: int = 0

    def add(self, size: int) -> None:
        """Count bytes more, or less where it is below 0.

        Raises:
            RefusedError: so many more are too many; they are not counted.
        """
        if size > 0 and self.now + size > self.most:
            raise RefusedError("too many large requests at the same time", status=429, retry_after_s=1)
        self.now += size


def describe_server(extensions: Sequence[str]) -> dict[str, Any]:
    """Return the protocol's metadata of the server."""
    return {"name": "toolkit", "version": toolkit.__version__, "extensions": extensions}


class ModelRepository:
    """What is served.

    Attributes:
        is_draining: whether no request for inference is taken any more.

    Args:
        models: at least one, the versions of a name in their order.
    """

    def __init__(self, models: Iterable[ServedModel]) -> None:
        self.is_draining = False
        self._at_work = 0
        self._models: dict[str, dict[str, ServedModel]] = {}
        for model in models:
            self._models.setdefault(model.name, {})[model.version] = model

    @property
    def models(self) -> list[ServedModel]:
        """Every version of every model."""
        return [model for versions in self._models.values() for model in versions.values()]

    @property
    def is_ready(self) -> bool:
        """Whether requests for any model would be taken."""
        return not self.is_draining and all(model.is_ready for model in self.models)

    @property
    def is_idle(self) -> bool:
        """Whether every request that was taken is answered."""
        return not self._at_work

    @property
    def most_body_bytes(self) -> int:
        """Of a request for inference, whichever model it is for."""
        return max(model.most_body_bytes for model in self.models)

    @property
    def most_held_bytes(self) -> int:
        """Of the bodies of all requests together, in memory."""
        return max(LEAST_HELD_BYTES, LARGEST_HELD * self.most_body_bytes)

    def serves(self, model: ServedModel) -> bool:
        """Return whether a request for a model would be taken."""
        return model.is_ready and not self.is_draining

    def watch(self) -> None:
        """Look after the models; called several times a second."""
        for model in self.models:
            model.watch()

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """Return a model; without a version the last one.

        Raises:
            RefusedError: there is none.
        """
        versions = self._models.get(name)
        if not versions:
            names = ", ".join(name for name, versions in self._models.items() if versions) or "none"
            raise RefusedError(f"there is no model {name[:100]!r}; there are {names}", status=404)
        if version is not None and version not in versions:
            raise RefusedError(
                f"model {name!r} has no version {version[:20]!r}; it has {', '.join(versions)}", status=404
            )
        return versions[version] if version is not None else list(versions.values())[-1]

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model that is there, in their order."""
        return list(self._models[name])

    def replace(self, name: str, models: Iterable[ServedModel]) -> None:
        """Let requests find these from now on, the versions of a name in their order."""
        self._models[name] = {model.version: model for model in models}

    @contextlib.contextmanager
    def counting(self, model: ServedModel) -> Iterator[None]:
        """Count a request for inference, whatever becomes of it: from before its body is read until it is answered."""
        came, status = time.monotonic(), 500
        try:
            yield
            status = 200
        except RefusedError as error:
            status = error.status
            raise
        finally:
            if status != 200:
                reason = REASONS.get(status, "invalid" if status < 500 else "failed")
                model.stats.refusals[reason] += 1
                model.stats.fail.add(time.monotonic() - came)
            model.stats.codes[status] += 1

    @contextlib.contextmanager
    def taking(self, found: ServedModel) -> Iterator[ServedModel]:
        """Take a request for inference that is there whole; neither server nor model ends before it is answered.

        Args:
            found: the model as the request came; what stands in its place by now is what answers.

        Raises:
            RefusedError: the server is ending, or the model was unloaded.
        """
        if self.is_draining:
            raise RefusedError("the server is ending", status=503, retry_after_s=1)
        model = self.find(found.name, found.version)
        self._at_work += 1
        model.at_work += 1
        try:
            yield model
        finally:
            self._at_work -= 1
            model.at_work -= 1
