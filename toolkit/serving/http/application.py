"""The routes: what is asked for at which address, and what is answered."""

from __future__ import annotations

__all__ = ["Application", "Page"]

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import toolkit
from toolkit.serving.classify import classify
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.reply import Reply, json_reply
from toolkit.serving.http.exchange import Exchange, HeldBytes, Message, Receive, Send
from toolkit.serving.metrics import CONTENT_TYPE, render_metrics
from toolkit.serving.served_model import ServedModel

EXTENSIONS = ("binary_tensor_data", "classification", "statistics", "model_configuration", "parameters")
MOST_PICTURE_BYTES = 16 << 20
# Of all bodies together, in memory: so much, or so many of the largest.
LEAST_HELD_BYTES, LARGEST_HELD = 256 << 20, 4
# Of a page: its bytes and their type by the path after the address' slash.
Page = Mapping[str, tuple[bytes, str]]
REASONS = {
    401: "unauthorised",
    413: "too_large",
    429: "overloaded",
    499: "client_gone",
    503: "unavailable",
    504: "late",
}


class Application:
    """An ASGI application.

    Attributes:
        is_draining: whether no request for inference is taken any more.
        at_work: requests for inference that are being answered.

    Args:
        models: by name and version, the versions in their order.
        token: what clients have to send; empty: nothing.
        make_page: returns what `GET /` shows, once somebody asks for it.
        tell: is given a line where the server itself failed.
    """

    def __init__(
        self,
        models: Mapping[str, Mapping[str, ServedModel]],
        *,
        token: bytes = b"",
        make_page: Callable[[], Page] = dict,
        tell: Callable[[str], None],
    ) -> None:
        self.is_draining, self.at_work = False, 0
        most_body = max(model.most_body_bytes for versions in models.values() for model in versions.values())
        self._held = HeldBytes(max(LEAST_HELD_BYTES, LARGEST_HELD * most_body))
        self._models, self._token, self._make_page, self._tell = models, token, make_page, tell
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
        exchange.wants_close |= self.is_draining
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
            return Reply(200, ((b"content-type", CONTENT_TYPE),), render_metrics(self._all()))
        if self._page is None:
            self._page = await asyncio.to_thread(self._make_page)
        name = "/".join(parts) or "index.html"
        if name in self._page:
            body, kind = self._page[name]
            return Reply(200, ((b"content-type", kind.encode()),), body)
        raise RefusedError(f"there is nothing at {path[:100]!r}", status=404)

    @property
    def is_idle(self) -> bool:
        """Whether every request that was taken is answered."""
        return not self.at_work

    def watch(self) -> None:
        """Look after the models; called several times a second."""
        for model in self._all():
            model.watch()

    def _all(self) -> list[ServedModel]:
        return [model for versions in self._models.values() for model in versions.values()]

    def _health(self, what: str, exchange: Exchange) -> Reply:
        if what not in {"live", "ready"}:
            raise RefusedError(f"health has no {what[:40]!r}; expected live or ready", status=404)
        _require(exchange, "GET")
        holds = what == "live" or (not self.is_draining and all(model.is_ready for model in self._all()))
        return json_reply({what: holds}, status=200 if holds else 503)

    async def _model(self, parts: list[str], exchange: Exchange) -> Reply:
        name, rest = parts[0], parts[1:]
        if parts == ["stats"]:
            _require(exchange, "GET")
            return json_reply({"model_stats": [_stats(model) for model in self._all()]})
        version = None
        if rest[:1] == ["versions"] and len(rest) > 1:
            version, rest = rest[1], rest[2:]
        model = self._find(name, version)
        verb = "/".join(rest)
        if verb in {"infer", "classify"}:
            _require(exchange, "POST")
            return await self._answer(model, verb, exchange=exchange)
        if verb not in {"", "ready", "stats", "config"}:
            raise RefusedError(f"model {name!r} has no {verb[:40]!r}", status=404)
        _require(exchange, "GET")
        if verb == "ready":
            holds = model.is_ready and not self.is_draining
            return json_reply({"name": model.name, "ready": holds}, status=200 if holds else 503)
        told: dict[str, Callable[[], Any]] = {
            "": lambda: model.to_metadata(list(self._models[name])),
            "stats": lambda: {"model_stats": [_stats(model)]},
            "config": model.to_config,
        }
        return json_reply(told[verb]())

    def _find(self, name: str, version: str | None) -> ServedModel:
        versions = self._models.get(name)
        if versions is None:
            raise RefusedError(f"there is no model {name[:100]!r}; there are {', '.join(self._models)}", status=404)
        if version is not None and version not in versions:
            raise RefusedError(
                f"model {name!r} has no version {version[:20]!r}; it has {', '.join(versions)}", status=404
            )
        return versions[version] if version is not None else list(versions.values())[-1]

    async def _answer(self, model: ServedModel, verb: str, *, exchange: Exchange) -> Reply:
        """Answer a request for inference, and count it whatever becomes of it."""
        came = time.monotonic()
        try:
            answer = await self._infer(model, verb, exchange=exchange)
        except RefusedError as error:
            answer = _refuse(error)
            model.stats.refusals[REASONS.get(error.status, "invalid" if error.status < 500 else "failed")] += 1
            model.stats.fail.add(time.monotonic() - came)
        model.stats.codes[answer.status] += 1
        return answer

    async def _infer(self, model: ServedModel, verb: str, *, exchange: Exchange) -> Reply:
        body = await exchange.read_body(MOST_PICTURE_BYTES if verb == "classify" else model.most_body_bytes)
        if self.is_draining:
            raise RefusedError("the server is ending", status=503, retry_after_s=1)
        self.at_work += 1
        try:
            if verb == "classify":
                return json_reply(await classify(model, body, wait=exchange.wait_for))
            return await model.infer(body, header_length=exchange.header_length(), wait=exchange.wait_for)
        finally:
            self.at_work -= 1


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
