"""The routes: what is asked for at which address, and what is answered."""

from __future__ import annotations

__all__ = ["Application", "Page"]

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import toolkit
from toolkit.serving.classify import classify
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.reply import Reply, json_reply
from toolkit.serving.http.exchange import Exchange, HeldBytes, Message, Receive, Send
from toolkit.serving.metrics import CONTENT_TYPE, render_metrics
from toolkit.serving.repository import ModelRepository
from toolkit.serving.served_model import ServedModel

EXTENSIONS = ("binary_tensor_data", "classification", "statistics", "model_configuration", "parameters")
MOST_PICTURE_BYTES = 16 << 20
# Of all bodies together, in memory: so much, or so many of the largest.
LEAST_HELD_BYTES, LARGEST_HELD = 256 << 20, 4
# Of a page: its bytes and their type by the path after the address' slash.
Page = Mapping[str, tuple[bytes, str]]


class Application:
    """An ASGI application.

    Args:
        repository: what is served.
        token: what clients have to send; empty: nothing.
        make_page: returns what `GET /` shows, once somebody asks for it.
        tell: is given a line where the server itself failed.
    """

    def __init__(
        self,
        repository: ModelRepository,
        *,
        token: bytes = b"",
        make_page: Callable[[], Page] = dict,
        tell: Callable[[str], None],
    ) -> None:
        self._held = HeldBytes(max(LEAST_HELD_BYTES, LARGEST_HELD * repository.most_body_bytes))
        self._repository, self._token, self._make_page, self._tell = repository, token, make_page, tell
        self._page: Page | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; whatever happens is an answer."""
        exchange = Exchange(scope, receive=receive, send=send, held=self._held)
        try:
            answer = await self._route(scope, exchange)
        except RefusedError as error:
            answer = _refuse(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours: the client is told so and the server lives on
            self._tell(f"{exchange.method} {scope['path']!r} failed: {type(error).__name__}: {error}")
            answer = json_reply({"error": "the server failed; its own log says how"}, status=500)
        finally:
            exchange.let_go()
        exchange.wants_close |= self._repository.is_draining
        await exchange.send(answer)

    async def _route(self, scope: Message, exchange: Exchange) -> Reply:
        path = scope["raw_path"].decode("latin-1")
        parts = [unquote(part) for part in path.split("/")[1:]]
        if parts[:2] == ["v2", "health"] and len(parts) == 3:
            return self._health(parts[2], exchange)
        if self._token:
            exchange.require_token(self._token)
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return await self._model(parts[2:], exchange)
        _require(exchange, "GET")
        if parts in (["v2"], ["v2", ""]):
            return json_reply({"name": "toolkit", "version": toolkit.__version__, "extensions": EXTENSIONS})
        if parts == ["metrics"]:
            return Reply(200, ((b"content-type", CONTENT_TYPE),), render_metrics(self._repository.models))
        if self._page is None:
            self._page = await asyncio.to_thread(self._make_page)
        name = "/".join(parts) or "index.html"
        if name in self._page:
            body, kind = self._page[name]
            return Reply(200, ((b"content-type", kind.encode()),), body)
        raise RefusedError(f"there is nothing at {path[:100]!r}", status=404)

    def _health(self, what: str, exchange: Exchange) -> Reply:
        if what not in {"live", "ready"}:
            raise RefusedError(f"health has no {what[:40]!r}; expected live or ready", status=404)
        _require(exchange, "GET")
        holds = what == "live" or self._repository.is_ready
        return json_reply({what: holds}, status=200 if holds else 503)

    async def _model(self, parts: list[str], exchange: Exchange) -> Reply:
        name, rest = parts[0], parts[1:]
        if parts == ["stats"]:
            _require(exchange, "GET")
            return json_reply({"model_stats": [_stats(model) for model in self._repository.models]})
        version = None
        if rest[:1] == ["versions"] and len(rest) > 1:
            version, rest = rest[1], rest[2:]
        model = self._repository.find(name, version)
        verb = "/".join(rest)
        if verb in {"infer", "classify"}:
            _require(exchange, "POST")
            return await self._answer(model, verb, exchange=exchange)
        if verb not in {"", "ready", "stats", "config"}:
            raise RefusedError(f"model {name!r} has no {verb[:40]!r}", status=404)
        _require(exchange, "GET")
        if verb == "ready":
            holds = model.is_ready and not self._repository.is_draining
            return json_reply({"name": model.name, "ready": holds}, status=200 if holds else 503)
        told: dict[str, Callable[[], Any]] = {
            "": lambda: model.to_metadata(self._repository.versions(name)),
            "stats": lambda: {"model_stats": [_stats(model)]},
            "config": model.to_config,
        }
        return json_reply(told[verb]())

    async def _answer(self, model: ServedModel, verb: str, *, exchange: Exchange) -> Reply:
        with self._repository.counting(model):
            body = await exchange.read_body(MOST_PICTURE_BYTES if verb == "classify" else model.most_body_bytes)
            with self._repository.taking():
                if verb == "classify":
                    return json_reply(await classify(model, body, wait=exchange.wait_for))
                return await model.infer(body, header_length=exchange.header_length(), wait=exchange.wait_for)


def _stats(model: ServedModel) -> dict[str, Any]:
    return model.stats.to_protocol(model.name, model.version)


def _require(exchange: Exchange, method: str) -> None:
    if exchange.method != method:
        raise RefusedError(f"{exchange.method} is not for this address; expected {method}", status=405, allow=method)


def _refuse(error: RefusedError) -> Reply:
    status, headers, body = json_reply({"error": str(error)}, status=error.status)
    more = [(b"retry-after", b"%d" % error.retry_after_s)] if error.retry_after_s else []
    more += [(b"allow", error.allow.encode())] if error.allow else []
    more += [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
    return Reply(status, (*headers, *more), body)
