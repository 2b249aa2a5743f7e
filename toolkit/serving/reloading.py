"""A file takes the place of the one in service: opened beside it, warmed, proven, held against it, swapped in; or not.

What is in service goes on until the very swap; whatever is wrong with the other file leaves it there.
"""

from __future__ import annotations

__all__ = ["Place", "Reloader", "stamp_of"]

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import ModelError, ToolkitError
from toolkit.onnx_file.external_data import read_model
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.config import ServeConfig
from toolkit.serving.engine import Engine
from toolkit.serving.repository import ModelRepository
from toolkit.serving.served_model import ServedModel

# A file is looked at so often, and taken once it was the same twice: a copy that is still being made is not.
POLL_S = 0.5
DRAIN_POLL_S = 0.05
Stamp = tuple[int, ...] | None


def stamp_of(path: Path) -> Stamp:
    """Return what changes whenever a file does, links followed; None where there is none.

    The last number is the inode's time, which no program sets: a copy that keeps its source's time changes it, too.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@dataclass(slots=True, eq=False)
class Place:
    """A name and version that the server was started with.

    Attributes:
        path: the only file that is ever read for it.
        model: what stands there, or stood there last.
        seen: the file's stamp when it was read last.
        previous: what stood there before a file was last taken; None: nothing, or nobody can ask for it.
        is_loaded: whether the model answers.
        reason: why the file that was read last does not; empty: it does.
    """

    path: Path
    model: ServedModel
    seen: Stamp
    previous: ModelSource | None = None
    is_loaded: bool = True
    reason: str = ""


class Reloader:
    """Brings files into service and out of it, one at a time.

    Args:
        places: in the order of their versions.
        repository: where requests find models.
        config: how they are served.
        settings: how they are executed.
        tell: is given a line for each change, and for each that does not come about.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        repository: ModelRepository,
        config: ServeConfig,
        settings: RuntimeSettings,
        tell: Callable[[str], None],
    ) -> None:
        self._places, self._repository, self._config = places, repository, config
        self._settings, self._tell = settings, tell
        self._lock = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to serve what the places hold, and to watch their files where that is asked for."""
        for place in self._places:
            await place.model.attach(self._tell)
        if self._config.watch:
            self._watching = asyncio.create_task(self._watch())

    async def load(self, name: str, *, previous: bool = False) -> None:
        """Bring a model's files as they are now into service, or those before them; what is there already stays.

        Raises:
            RefusedError: a file is not taken, or there is no such model, or no previous file.
        """
        places = [place for place in self._find(name) if place.previous or not previous]
        if not places:
            raise RefusedError(f"model {name!r} has no previous file: none was taken since the start")
        for place in places:
            await self._bring(place, place.previous if previous else None)

    async def unload(self, name: str) -> None:
        """Take a model out of service; what it was asked by then is answered.

        Raises:
            RefusedError: there is no such model.
        """
        places = self._find(name)
        async with self._lock:
            for place in places:
                place.is_loaded = False
            self._show(name)
            for place in places:
                self._tell(f"{_title(place.model)} {_short(place.model.engine.source)} is unloaded")
                await self._end(place.model)

    def index(self, *, only_ready: bool) -> list[dict[str, str]]:
        """Return the repository extension's object: every model that may be loaded, and how it is."""
        return [
            {
                "name": place.model.name,
                "version": place.model.version,
                "state": "READY" if place.is_loaded and place.model.is_ready else "UNAVAILABLE",
                "reason": place.reason if place.is_loaded else "unloaded",
                "sha256": place.model.engine.source.sha256,
            }
            for place in self._places
            if not only_ready or (place.is_loaded and place.model.is_ready)
        ]

    async def close(self) -> None:
        """End all models; a file that is being opened is waited for, and no other is begun."""
        await self._lock.acquire()
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*(place.model.engine.close() for place in self._places))

    async def _watch(self) -> None:
        polled = {place: place.seen for place in self._places}
        while True:
            await asyncio.sleep(POLL_S)
            for place in self._places:
                stamp = await asyncio.to_thread(stamp_of, place.path)
                is_settled, polled[place] = stamp == polled[place], stamp
                if is_settled and stamp != place.seen and place.is_loaded:
                    with contextlib.suppress(RefusedError):  # it was told
                        await self._bring(place)

    def _find(self, name: str) -> list[Place]:
        places = [place for place in self._places if place.model.name == name]
        if not places:
            raise RefusedError(f"the server was started without a model {name[:100]!r}", status=404)
        return places

    async def _bring(self, place: Place, source: ModelSource | None = None) -> None:
        """Bring a file into service, by default the one on the disk; say so, or why not."""
        async with self._lock:
            if self._repository.is_draining:
                raise RefusedError("the server is ending", status=503, retry_after_s=1)
            old = place.model
            title, before = _title(old), old.engine.source
            try:
                wanted = source if source is not None else await asyncio.to_thread(self._read, place)
                place.reason = ""
                if place.is_loaded and wanted.sha256 == before.sha256:
                    return
                place.model = await self._open(old, wanted)
            except Exception as error:
                words = str(error) if isinstance(error, ToolkitError) else f"{type(error).__name__}: {error}"
                place.reason = words
                old.stats.reloads["refused"] += 1
                self._tell(f"{title} {_short(before)} stays: {words}")
                raise RefusedError(words) from error
            old.stats.reloads["taken"] += 1
            if source is None and self._config.repository and wanted.sha256 != before.sha256:
                place.previous = before
            was_loaded, place.is_loaded = place.is_loaded, True
            self._show(old.name)
            self._tell(
                f"{title} {_short(wanted)} " + (f"takes the place of {_short(before)}" if was_loaded else "is loaded")
            )
            await self._end(old)

    def _read(self, place: Place) -> ModelSource:
        place.seen = stamp_of(place.path)
        source = read_model(place.path, allow_external_data=self._config.allow_external_data)
        if stamp_of(place.path) != place.seen:
            raise ModelError(f"{place.path.name} was changed while it was read")
        return source

    async def _open(self, old: ServedModel, source: ModelSource) -> ServedModel:
        """Return a model that may stand where another one does."""
        engine = await asyncio.to_thread(Engine, source, self._settings, max_batch=self._config.max_batch)
        try:
            new = ServedModel(old.name, old.version, engine=engine, config=self._config, stats=old.stats)
            _require_same(old, new)
            await new.attach(self._tell)
        except BaseException:
            await engine.close()
            raise
        return new

    def _show(self, name: str) -> None:
        """Let requests find what is loaded, in the order of the versions."""
        self._repository.replace(name, [place.model for place in self._find(name) if place.is_loaded])

    async def _end(self, model: ServedModel) -> None:
        """Wait until a model that nobody finds any more has answered what it was asked, and end it."""
        while model.at_work:
            model.watch()
            await asyncio.sleep(DRAIN_POLL_S)
        await model.engine.close()


def _require_same(old: ServedModel, new: ServedModel) -> None:
    """Refuse a file of which clients of the other one would have been told wrong, or that can prove less."""
    told = _contract(new)
    for what, value in _contract(old).items():
        if value and told.get(what) != value:
            name, seen, expected = new.engine.source.path.name, str(told.get(what))[:100], str(value)[:100]
            raise ModelError(f"{name} is not like the file in service: {what} {seen}, not {expected}")


def _contract(model: ServedModel) -> dict[str, Any]:
    card = model.card
    told = {"classes": card.classes, "picture": card.input, "golden vectors": bool(card.golden)} if card else {}
    return {"card": bool(card), **model.to_config(), **told}


def _title(model: ServedModel) -> str:
    return f"model {model.name} (version {model.version}):"


def _short(source: ModelSource) -> str:
    return f"sha256 {source.sha256[:12]}"
