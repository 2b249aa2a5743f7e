"""Any server of the Open Inference Protocol, version 2, over HTTP: what it answers is held against the file.

The protocol: https://github.com/kserve/open-inference-protocol; tensors travel as Triton's binary extension lays them
out, or as JSON.
"""

from __future__ import annotations

__all__ = ["OipHttpRuntime", "OipJsonRuntime"]

import http.client
import itertools
import json
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np

from toolkit.errors import ModelError, ResourceError, UsageError, WrongAnswerError
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import Arrays, Runtime
from toolkit.runtimes.oip.connections import TOKEN_VARIABLE, Connections, ServerAnswer
from toolkit.runtimes.oip.tensors import DATATYPES, drop_ones, from_bytes, from_json, require_same, to_bytes
from toolkit.runtimes.providers import REMOTE

HEADER_LENGTH = "Inference-Header-Content-Length"
# A server that says it is full is asked again for so long.
FULL_S = 30.0


class OipHttpRuntime(Runtime):
    """A file that a server at `settings.at` says it serves.

    With `runs_at_once` over 1 so many requests go out at once: the batch whole, and in pieces of uneven sizes. What is
    returned, and so held against the reference, is the answer to the whole one in every other call, else the joined
    ones.
    """

    name: ClassVar[str] = "oip-http"
    is_binary: ClassVar[bool] = True

    def _open(self, source: ModelSource) -> None:
        if not self.settings.at:
            raise UsageError(f"runtime {self.name} asks a server; name it with --at http://127.0.0.1:8000")
        self._server = Connections(self.settings.at)
        self._numbers, self._calls = itertools.count(), itertools.count()
        self._pool = ThreadPoolExecutor(self.settings.runs_at_once)
        try:
            self._meet(source)
        except BaseException:
            self.close()
            raise

    def _meet(self, source: ModelSource) -> None:
        """Read what the server says of itself and of the model, and hold it against the file."""
        server = self._read("/v2", ("name", "version"))
        if self.is_binary and "binary_tensor_data" not in server.get("extensions", ()):
            raise ResourceError(f"{self.settings.at} has no extension binary_tensor_data; use --runtime oip-json")
        told = self._find_model([self._server.model] if self._server.model else [source.path.stem])
        info = self._describe_file(source, version=f"{server['name']} {server['version']}")
        ranks = {spec.name: len(spec.shape) for spec in info.outputs}
        for item in told["outputs"]:
            item["shape"] = drop_ones(item["shape"], ranks.get(item["name"], 0))
        for role, specs in (("inputs", info.inputs), ("outputs", info.outputs)):
            require_same(told[role], specs, words=f"model {self._model!r} at {self.settings.at} has the {role}")
        details = {"at": self.settings.at, "model": self._model, "versions": told.get("versions")}
        self.info = replace(info, provider_active=REMOTE, details=details)
        self._specs = {spec.name: spec for spec in info.outputs}
        self._is_open = all(
            spec.shape and spec.shape[0] == info.inputs[0].shape[0] and not isinstance(spec.shape[0], int)
            for spec in (*info.inputs, *info.outputs)
        )

    def _read(self, path: str, keys: tuple[str, ...]) -> dict[str, Any]:
        """Return what a GET tells, an object with these keys."""
        answer = self._server.ask("GET", path)
        if answer.status in {http.client.UNAUTHORIZED, http.client.FORBIDDEN}:
            raise ResourceError(
                f"{self.settings.at} lets us in with a token only ({answer.words}); name the file that holds it in the "
                f"variable {TOKEN_VARIABLE}"
            )
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

    def _find_model(self, names: list[str]) -> dict[str, Any]:
        """Return the metadata of the model and keep its path: of a name, else the only one that the server lists."""
        if self._server.model is None:
            listed = self._server.ask("POST", "/v2/repository/index", body=b"{}")
            if listed.status == http.client.OK and len(index := json.loads(listed.body)) == 1:
                names.append(index[0]["name"])
        for name in names:
            self._model, self._path = name, f"/v2/models/{quote(name, safe='')}"
            if self._server.version:
                self._path += f"/versions/{quote(self._server.version, safe='')}"
            found = self._server.ask("GET", self._path)
            if found.status != http.client.NOT_FOUND:
                ready = self._server.ask("GET", f"{self._path}/ready")
                if ready.status != http.client.OK:
                    raise ResourceError(f"model {name!r} at {self.settings.at} is not ready ({ready.words})")
                return self._read(self._path, ("name", "inputs", "outputs"))
        version = f" of version {self._server.version}" if self._server.version else ""
        raise ResourceError(
            f"{self._server.root} serves no model {names[0]!r}{version} ({found.words}); name the one that it serves: "
            f"--at {self._server.root}/v2/models/NAME"
        )

    def compute(self, feeds: Arrays) -> dict[str, Any]:
        """Ask once, or several times at once; see `Runtime.compute`."""
        if self.settings.runs_at_once == 1:
            return self._ask_patiently(feeds)
        call = next(self._calls)
        whole, *answers = self._pool.map(self._ask_patiently, [feeds, *self._cut(feeds, seed=call)])
        if call % 2:
            return whole
        return {name: np.concatenate([answer[name] for answer in answers]) for name in whole}

    def _cut(self, feeds: Arrays, *, seed: int) -> list[Arrays]:
        """Return a batch in pieces of uneven sizes, in its order; whole where the file leaves no batch open."""
        count = len(next(iter(feeds.values()))) if self._is_open else 1
        order = np.random.default_rng(seed).permutation(count - 1)
        cuts = np.sort(order[: self.settings.runs_at_once - 2]) + 1
        pieces = {name: np.split(array, cuts) if len(cuts) else [array] for name, array in feeds.items()}
        return [{name: arrays[part] for name, arrays in pieces.items()} for part in range(len(cuts) + 1)]

    def prepare(self, feeds: Arrays, *, boundary: str = "host") -> Callable[[], object]:
        """Return one request with all its parts, from arrays to arrays; see `Runtime.prepare`."""
        super().prepare(feeds, boundary=boundary)
        return partial(self._ask, feeds)

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        self._pool.shutdown()
        self._server.close()

    def _ask_patiently(self, feeds: Arrays) -> dict[str, Any]:
        end = time.monotonic() + FULL_S
        while True:
            try:
                return self._ask(feeds)
            except _FullError as error:
                if time.monotonic() + error.wait_s > end:
                    raise
                time.sleep(error.wait_s)

    def _ask(self, feeds: Arrays) -> dict[str, Any]:
        number = f"{id(self):x}-{next(self._numbers)}"
        body, headers = self._write(feeds, number)
        answer = self._server.ask("POST", f"{self._path}/infer", body=body, headers=headers)
        if answer.status in {http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE}:
            raise _FullError(answer)
        if answer.status != http.client.OK:
            raise ModelError(f"the server refuses a request with {answer.words}")
        try:
            return self._take(answer, number)
        except (ValueError, TypeError, KeyError, struct.error) as error:
            raise WrongAnswerError(f"the server's answer cannot be read: {type(error).__name__}: {error}") from error

    def _write(self, feeds: Arrays, number: str) -> tuple[bytes, dict[str, str]]:
        inputs: list[dict[str, Any]] = []
        tensors: list[bytes] = []
        for name, array in feeds.items():
            item = {"name": name, "shape": array.shape, "datatype": DATATYPES[self._input_type(name)]}
            if self.is_binary:
                tensors.append(to_bytes(array))
                inputs.append({**item, "parameters": {"binary_data_size": len(tensors[-1])}})
            else:
                inputs.append({**item, "data": array.reshape(-1).tolist()})
        text = json.dumps({"id": number, "inputs": inputs, "parameters": {"binary_data_output": self.is_binary}})
        kind = "application/octet-stream" if self.is_binary else "application/json"
        length = {HEADER_LENGTH: str(len(text))} if self.is_binary else {}
        return text.encode() + b"".join(tensors), {"Content-Type": kind, **length}

    def _input_type(self, name: str) -> str:
        return next(spec.dtype for spec in self.info.inputs if spec.name == name)

    def _take(self, answer: ServerAnswer, number: str) -> dict[str, Any]:
        length = int(answer.headers.get(HEADER_LENGTH) or len(answer.body))
        told, rest = json.loads(answer.body[:length], parse_constant=_no_number), memoryview(answer.body)[length:]
        if told.get("id", number) != number or told["model_name"] != self._model:
            raise WrongAnswerError(
                f"the answer is of request {told.get('id')!r} to model {told['model_name']!r}; asked was {number!r} "
                f"of {self._model!r}"
            )
        found: dict[str, Any] = {}
        for item in told["outputs"]:
            spec, size = self._specs.get(item["name"]), item.get("parameters", {}).get("binary_data_size")
            if spec is None or item["datatype"] != DATATYPES[spec.dtype]:
                raise WrongAnswerError(f"output {item['name']!r} comes as {item['datatype']}; expected {self._specs}")
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


class _FullError(ResourceError):
    """The server has no room now."""

    def __init__(self, answer: ServerAnswer) -> None:
        super().__init__(f"the server has no room: {answer.words}")
        word = answer.headers.get("Retry-After", "")
        self.wait_s = float(word) if word.isdecimal() else 1.0


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")
