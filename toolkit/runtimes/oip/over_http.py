"""The protocol over HTTP: tensors travel as Triton's binary extension lays them out, or as JSON."""

from __future__ import annotations

__all__ = ["OipHttpRuntime", "OipJsonRuntime"]

import http.client
import json
import struct
from typing import Any, ClassVar
from urllib.parse import quote

from toolkit.errors import ModelError, ResourceError, WrongAnswerError
from toolkit.runtimes.base import Arrays
from toolkit.runtimes.oip.connections import Connections, ServerAnswer
from toolkit.runtimes.oip.runtime import FullError, OipRuntime
from toolkit.runtimes.oip.sending import HttpSender
from toolkit.runtimes.oip.tensors import drop_ones, from_bytes, from_json, to_bytes
from toolkit.runtimes.query import Sender

HEADER_LENGTH = "Inference-Header-Content-Length"


class OipHttpRuntime(OipRuntime):
    """A server asked over HTTP, every tensor in its bytes."""

    name: ClassVar[str] = "oip-http"
    is_binary: ClassVar[bool] = True
    schemes: ClassVar[tuple[str, ...]] = ("http", "https")
    example: ClassVar[str] = "http://127.0.0.1:8000"

    def _connect(self) -> None:
        self._server = Connections(self._address)

    def _hang_up(self) -> None:
        self._server.close()

    def _greet(self) -> str:
        server = self._read("/v2", ("name", "version"))
        if self.is_binary and "binary_tensor_data" not in server.get("extensions", ()):
            raise ResourceError(f"{self.settings.at} has no extension binary_tensor_data; use --runtime oip-json")
        return f"{server['name']} {server['version']}"

    def _read(self, path: str, keys: tuple[str, ...]) -> dict[str, Any]:
        """Return what a GET tells, an object with these keys."""
        answer = self._server.ask("GET", path)
        if answer.status in {http.client.UNAUTHORIZED, http.client.FORBIDDEN}:
            raise self._needs_token(answer.words)
        try:
            told = json.loads(answer.body) if answer.status == http.client.OK else None
        except ValueError:
            told = None
        if not isinstance(told, dict) or not told.keys() >= {*keys}:
            raise ResourceError(
                f"{self.settings.at} does not speak the Open Inference Protocol: GET {path} gives {answer.words}; "
                f"expected 200 and JSON with {', '.join(keys)}"
            )
        return told

    def _list_models(self) -> list[str]:
        listed = self._server.ask("POST", "/v2/repository/index", body=b"{}")
        return [item["name"] for item in json.loads(listed.body)] if listed.status == http.client.OK else []

    def _describe(self, model: str) -> dict[str, Any] | str:
        self._path = f"/v2/models/{quote(model, safe='')}"
        if self._address.version:
            self._path += f"/versions/{quote(self._address.version, safe='')}"
        found = self._server.ask("GET", self._path)
        if found.status == http.client.NOT_FOUND:
            return found.words
        ready = self._server.ask("GET", f"{self._path}/ready")
        if ready.status != http.client.OK:
            raise ResourceError(f"model {model!r} at {self.settings.at} is not ready ({ready.words})")
        return self._read(self._path, ("name", "inputs", "outputs"))

    def _ask(self, feeds: Arrays) -> dict[str, Any]:
        number = self._number()
        body, headers = self._write(feeds, number)
        answer = self._server.ask("POST", f"{self._path}/infer", body=body, headers=headers)
        if answer.status in {http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE}:
            word = answer.headers.get("Retry-After", "")
            raise FullError(answer.words, wait_s=float(word) if word.isdecimal() else 1.0)
        if answer.status != http.client.OK:
            raise ModelError(f"the server refuses a request with {answer.words}")
        try:
            return self._take(answer, number)
        except (ValueError, TypeError, KeyError, struct.error) as error:
            raise WrongAnswerError(f"the server's answer cannot be read: {type(error).__name__}: {error}") from error

    def open_sender(self, feeds: Arrays, *, at_once: int | None = None) -> Sender:
        """Return what sends the same request many times; see `Runtime.open_sender`."""
        body, headers = self._write(feeds, self._number())
        return HttpSender(self._server, f"{self._path}/infer", body=body, headers=headers, at_once=at_once)

    def _write(self, feeds: Arrays, number: str) -> tuple[bytes, dict[str, str]]:
        inputs: list[dict[str, Any]] = []
        tensors: list[bytes] = []
        for name, array in feeds.items():
            item = {"name": name, "shape": array.shape, "datatype": self._input_datatype(name)}
            if self.is_binary:
                tensors.append(to_bytes(array))
                inputs.append({**item, "parameters": {"binary_data_size": len(tensors[-1])}})
            else:
                inputs.append({**item, "data": array.reshape(-1).tolist()})
        text = json.dumps({"id": number, "inputs": inputs, "parameters": {"binary_data_output": self.is_binary}})
        kind = "application/octet-stream" if self.is_binary else "application/json"
        length = {HEADER_LENGTH: str(len(text))} if self.is_binary else {}
        return text.encode() + b"".join(tensors), {"Content-Type": kind, **length}

    def _take(self, answer: ServerAnswer, number: str) -> dict[str, Any]:
        length = int(answer.headers.get(HEADER_LENGTH) or len(answer.body))
        told, rest = json.loads(answer.body[:length], parse_constant=_no_number), memoryview(answer.body)[length:]
        self._require_own(asked=number, told=told.get("id", number), model=told["model_name"])
        found: dict[str, Any] = {}
        for item in told["outputs"]:
            spec = self._find_output(item["name"], item["datatype"])
            size = item.get("parameters", {}).get("binary_data_size")
            values = from_json(item["data"], spec.dtype) if size is None else from_bytes(rest[:size], spec.dtype)
            rest = rest[size or 0 :]
            found[spec.name] = values.reshape(drop_ones(item["shape"], len(spec.shape)))
        if len(rest):
            raise WrongAnswerError(f"{len(rest)} bytes are behind the last output")
        return found


class OipJsonRuntime(OipHttpRuntime):
    """The same with every tensor in JSON, which each server of the protocol takes."""

    name: ClassVar[str] = "oip-json"
    is_binary: ClassVar[bool] = False


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")
