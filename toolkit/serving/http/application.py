"""The routes: what is asked for at which address, and what is answered."""

from __future__ import annotations

__all__ = ["Application", "Page"]

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from toolkit.serving.classify import classify
from toolkit.serving.codec.json_request import read_request
from toolkit.serving.codec.refusal import RefusedError
from toolkit.serving.codec.reply import Reply, json_reply, write_reply
from toolkit.serving.codec.strict_json import read_json
from toolkit.serving.http.exchange import Exchange, Message, Receive, Send
from toolkit.serving.metrics import CONTENT_TYPE, render_metrics
from toolkit.serving.reloading import Reloader
from toolkit.serving.repository import EXTENSIONS, HeldBytes, ModelRepository, describe_server
from toolkit.serving.served_model import ServedModel

MOST_PICTURE_BYTES = 16 << 20
MOST_CHANGE_BYTES = 4096
# Of a page: its bytes and their type by the path after the address' slash.
Page = Mapping[str, tuple[bytes, str]]


class Application:
    """An ASGI application.

    Args:
        repository: what is served.
        token: what clients have to send; empty: nothing.
        make_page: returns what `GET /` shows of the first model, once somebody asks for it.
        reloader: loads and unloads for clients; None: they cannot.
        tell: is given a line where the server itself failed.
    """

    def __init__(
        self,
        repository: ModelRepository,
        *,
        token: bytes = b"",
        make_page: Callable[[ServedModel], Page] = lambda _: {},
        reloader: Reloader | None = None,
        tell: Callable[[str], None],
    ) -> None:
        self._held = HeldBytes(repository.most_held_bytes)
        self._repository, self._token, self._reloader, self._tell = repository, token, reloader, tell
        self._make_page = functools.lru_cache(maxsize=1)(make_page)

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
        if parts[:2] == ["v2", "repository"] and self._reloader is not None:
            return await self._change(parts[2:], exchange, reloader=self._reloader)
        _require(exchange, "GET")
        if parts in (["v2"], ["v2", ""]):
            more = ["model_repository"] if self._reloader else []
            return json_reply(describe_server(["binary_tensor_data", *EXTENSIONS, *more]))
        if parts == ["metrics"]:
            return Reply(200, ((b"content-type", CONTENT_TYPE),), render_metrics(self._repository.models))
        models = self._repository.models
        page = await asyncio.to_thread(self._make_page, models[0]) if models else {}
        name = "/".join(parts) or "index.html"
        if name in page:
            body, kind = page[name]
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
            return json_reply({"model_stats": [model.to_statistics() for model in self._repository.models]})
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
            holds = self._repository.serves(model)
            return json_reply({"name": model.name, "ready": holds}, status=200 if holds else 503)
        told: dict[str, Callable[[], Any]] = {
            "": lambda: model.to_metadata(self._repository.versions(name)),
            "stats": lambda: {"model_stats": [model.to_statistics()]},
            "config": model.to_config,
        }
        return json_reply(told[verb]())

    async def _change(self, parts: list[str], exchange: Exchange, *, reloader: Reloader) -> Reply:
        """Load, unload or list models: Triton's model repository extension."""
        verb = parts[-1] if len(parts) == 3 and parts[0] == "models" else "/".join(parts)
        if verb not in {"index", "load", "unload"}:
            raise RefusedError(f"the repository has no {'/'.join(parts)[:100]!r}", status=404)
        _require(exchange, "POST")
        if b"origin" in exchange.headers:  # which a browser sends for a page, and nothing else does
            raise RefusedError("a page in a browser does not load or unload models", status=403)
        body = await exchange.read_body(MOST_CHANGE_BYTES)
        told = read_json(body) if body else {}
        if verb == "index":
            return json_reply(reloader.index(only_ready=_read_flag(told, "ready")))
        flag = _read_flag(told.get("parameters", {}), {"load": "previous", "unload": "unload_dependents"}[verb])
        if verb == "load":
            await reloader.load(parts[1], previous=flag)
        else:
            await reloader.unload(parts[1])
        return json_reply({})

    async def _answer(self, model: ServedModel, verb: str, *, exchange: Exchange) -> Reply:
        with self._repository.counting(model):
            body = await exchange.read_body(MOST_PICTURE_BYTES if verb == "classify" else model.most_body_bytes)
            with self._repository.taking(model) as standing:
                if verb == "classify":
                    return json_reply(await classify(standing, body, wait=exchange.wait_for))
                read = functools.partial(read_request, body, header_length=exchange.header_length())
                return await standing.infer(read, write_reply, wait=exchange.wait_for)


def _read_flag(told: Any, name: str) -> bool:
    """Return an object's only key; no path, no file and no configuration of a client's is ever taken."""
    value = told.get(name, False) if isinstance(told, dict) and told.keys() <= {name} else None
    if not isinstance(value, bool):
        raise RefusedError(f"the request has {str(told)[:100]}; expected nothing, or {name!r} with true or false")
    return value


def _require(exchange: Exchange, method: str) -> None:
    if exchange.method != method:
        raise RefusedError(f"{exchange.method} is not for this address; expected {method}", status=405, allow=method)


def _refuse(error: RefusedError) -> Reply:
    status, headers, body = json_reply({"error": str(error)}, status=error.status)
    more = [(b"retry-after", b"%d" % error.retry_after_s)] if error.retry_after_s else []
    more += [(b"allow", error.allow.encode())] if error.allow else []
    more += [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
    return Reply(status, (*headers, *more), body)
