"""A small server of the protocol for the tests: right in every row, slow, and of one model that is a function of arrays.

Faults are planted into that function, or by another class of handler.
"""

from __future__ import annotations

__all__ = ["Double", "Model", "open_double"]

import contextlib
import gzip
import json
import math
import re
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from oip.wire import DATATYPES, HEADER_LENGTH, Tensor, as_json, pack, unpack

Arrays = Mapping[str, NDArray[Any]]
VERSION = "1"
MOST_DEEP = 8
MOST_BYTES = 64 << 20
LARGEST = 64


class RefusedError(Exception):
    """A request that is not answered: a status and a message."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is served."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    run: Callable[[Arrays], Arrays]
    classes: tuple[str, ...] = ()

    def metadata(self) -> dict[str, Any]:
        def told(items: tuple[Tensor, ...]) -> list[dict[str, Any]]:
            return [{"name": item.name, "datatype": item.datatype, "shape": list(item.shape)} for item in items]

        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "onnx_onnxv1",
            "inputs": told(self.inputs),
            "outputs": told(self.outputs),
        }

    def config(self) -> dict[str, Any]:
        def told(items: tuple[Tensor, ...]) -> list[dict[str, Any]]:
            return [
                {
                    "name": item.name,
                    "data_type": "TYPE_STRING" if item.datatype == "BYTES" else f"TYPE_{item.datatype}",
                    "dims": list(item.shape[1:]),
                }
                for item in items
            ]

        return {
            "name": self.name,
            "platform": "onnx_onnxv1",
            "max_batch_size": LARGEST,
            "input": told(self.inputs),
            "output": told(self.outputs),
        }


@dataclass(slots=True)
class Double:
    """A double that is listening.

    Attributes:
        url: where.
        served: requests that were answered.
        keeps: whether a connection stays open behind an answer.
        on_headers: hears every request's headers.
        rewrite: what is done to a finished answer, its document and its tensors, before it is sent.
    """

    model: Model
    url: str = ""
    served: int = 0
    keeps: bool = True
    on_headers: Callable[[Mapping[str, str]], object] = lambda _: None
    rewrite: Callable[[dict[str, Any], list[bytes]], None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def open_double(model: Model) -> Iterator[Double]:
    """Serve a model on a free port of this machine for as long as the block lasts."""
    double = Double(model)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"double": double}))
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of a test."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    double: Double

    def _answer(self) -> None:
        self.double.on_headers(self.headers)
        try:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            document, tensors = self._route(self.path.split("?")[0], body)
        except RefusedError as error:
            self._send(error.status, json.dumps({"error": str(error)}).encode(), "application/json", error.headers)
            return
        text = json.dumps(document).encode()
        headers = {HEADER_LENGTH: str(len(text))} if tensors else {}
        kind = "application/octet-stream" if tensors else "application/json"
        self._send(200, text + b"".join(tensors), kind, headers)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _send(self, status: int, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.close_connection or not self.double.keeps

    def _route(self, path: str, body: bytes) -> tuple[Any, list[bytes]]:
        model = self.double.model
        if path in {"/v2/health/live", "/v2/health/ready", "/v2"}:
            self._require("GET")
            extensions = ["binary_tensor_data", "classification", "statistics", "model_configuration"]
            if path == "/v2":
                return {"name": "double", "version": "1.0", "extensions": extensions}, []
            return {path.rpartition("/")[2]: True}, []
        found = re.fullmatch(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/(ready|infer|stats|config))?", path)
        if found is None:
            raise RefusedError(404, f"there is nothing at {path}")
        if unquote(found[1]) != model.name or found[2] not in {None, VERSION}:
            raise RefusedError(404, f"there is no model {found[1]!r} of version {found[2] or 'any'}")
        self._require("POST" if found[3] == "infer" else "GET")
        if found[3] == "infer":
            return self._infer(body)
        count = {"success": {"count": self.double.served}}
        stats = {"model_stats": [{"name": model.name, "version": VERSION, "inference_stats": count}]}
        told = {"ready": {"name": model.name, "ready": True}, "stats": stats, "config": model.config()}
        return told.get(found[3], model.metadata()), []

    def _require(self, method: str) -> None:
        if self.command != method:
            raise RefusedError(405, f"{self.command} is not for {self.path}; use {method}", Allow=method)

    def _infer(self, body: bytes) -> tuple[dict[str, Any], list[bytes]]:
        coding = self.headers.get("content-encoding", "identity")
        if coding not in {"identity", "gzip", "deflate"}:
            raise RefusedError(415, f"content encoding {coding!r} is not taken; use gzip, or none")
        if coding != "identity":
            body = _decompress(body, coding)
        model = self.double.model
        request = _Request(model, body, self.headers.get(HEADER_LENGTH))
        outputs = model.run(request.arrays)
        document, tensors = request.answer(outputs)
        with self.double.lock:
            self.double.served += 1
        if self.double.rewrite is not None:
            self.double.rewrite(document, tensors)
        return document, tensors


class _Request:
    """A request that was read and found right."""

    def __init__(self, model: Model, body: bytes, length: str | None) -> None:
        self.model = model
        if length is not None and not re.fullmatch(r"[0-9]{1,12}", length):
            refuse(f"{HEADER_LENGTH} is {length!r}; expected a number of bytes")
        size = len(body) if length is None else int(length)
        if size > len(body):
            refuse(f"{HEADER_LENGTH} is {size}; the body has {len(body)} bytes")
        self.is_raw = size == 0 and length is not None
        text, rest = body[:size], body[size:]
        self.document = self._raw(rest) if self.is_raw else _load(text)
        self._check()
        self.arrays: dict[str, NDArray[Any]] = {}
        for item in self.document["inputs"]:
            rest = self._read(item, rest)
        if rest:
            refuse(f"{len(rest)} bytes are behind the last input")
        missing = [spec.name for spec in model.inputs if spec.name not in self.arrays]
        if missing:
            refuse(f"input {missing[0]!r} is missing")
        self.outputs = self._outputs()

    def _raw(self, rest: bytes) -> dict[str, Any]:
        if len(self.model.inputs) != 1:
            refuse(f"a raw body is for a model of one input; this one has {len(self.model.inputs)}")
        spec = self.model.inputs[0]
        shape = [1, *spec.shape[1:]]
        item = {"name": spec.name, "datatype": spec.datatype, "shape": shape}
        return {"inputs": [{**item, "parameters": {"binary_data_size": len(rest)}}]}

    def _check(self) -> None:
        document = self.document
        if not isinstance(document, dict) or not isinstance(document.get("inputs"), list) or not document["inputs"]:
            refuse("a request is an object with a list of inputs")
        if not isinstance(document.get("id", ""), str):
            refuse(f"id is {document['id']!r}; expected a string")
        parameters = _parameters(document, "the request")
        for name, kind in {"priority": int, "timeout": int, "binary_data_output": bool}.items():
            value = parameters.get(name, kind())
            if type(value) is not kind or value < 0:
                refuse(f"parameter {name!r} is {value!r}; expected {kind.__name__}")

    def _read(self, item: Any, rest: bytes) -> bytes:
        if not isinstance(item, dict):
            refuse(f"an input is {item!r}; expected an object")
        known = {spec.name: spec for spec in self.model.inputs}
        name = item.get("name")
        if not isinstance(name, str) or name not in known or name in self.arrays:
            refuse(f"input {name!r} is unknown, or there twice; expected {', '.join(known)}")
        spec, shape, parameters = known[name], item.get("shape"), _parameters(item, f"input {name!r}")
        if item.get("datatype") != spec.datatype:
            refuse(f"input {name!r} has the datatype {item.get('datatype')!r}; expected {spec.datatype}")
        is_shape = isinstance(shape, list) and all(type(size) is int for size in shape)
        if not is_shape or len(shape) != len(spec.shape) or any(size < 1 for size in shape):
            refuse(f"input {name!r} has the shape {shape}; expected {list(spec.shape)}")
        if any(want not in {-1, size} for want, size in zip(spec.shape, shape, strict=True)):
            refuse(f"input {name!r} has the shape {shape}; expected {list(spec.shape)}")
        if spec.shape and spec.shape[0] < 0 and shape[0] > LARGEST:
            refuse(f"input {name!r} has a batch of {shape[0]}; the largest is {LARGEST}")
        count = math.prod(shape)
        if "binary_data_size" in parameters:
            values, rest = self._binary(item, parameters["binary_data_size"], rest, count)
        else:
            values = self._json(item, shape, count)
        self.arrays[name] = np.array(values, DATATYPES[spec.datatype]).reshape(shape)
        return rest

    def _binary(self, item: Any, size: Any, rest: bytes, count: int) -> tuple[Any, bytes]:
        name, datatype = item["name"], item["datatype"]
        if "data" in item or type(size) is not int or not 0 <= size <= len(rest):
            refuse(f"input {name!r} has binary_data_size {size!r}; {len(rest)} bytes are left, and data have no place")
        data = rest[:size]
        if datatype == "BYTES":
            try:
                values = unpack(datatype, data)
            except Exception as error:
                raise RefusedError(400, f"input {name!r} is no list of strings: {error}") from error
            if len(values) != count:
                refuse(f"input {name!r} has {len(values)} strings; its shape asks for {count}")
            return values, rest[size:]
        wanted = count * np.dtype(DATATYPES[datatype]).itemsize
        if size != wanted:
            refuse(f"input {name!r} has {size} bytes; its shape asks for {wanted}")
        return np.frombuffer(data, DATATYPES[datatype]), rest[size:]

    def _json(self, item: Any, shape: list[int], count: int) -> list[Any]:
        name, datatype, data = item["name"], item["datatype"], item.get("data")
        if datatype == "FP16":
            refuse(f"input {name!r} is FP16, which JSON does not carry; send it as binary data")
        if not isinstance(data, list):
            refuse(f"input {name!r} has no list of data")
        if data and isinstance(data[0], list):
            data = _flatten(data, shape, name)
        if len(data) != count:
            refuse(f"input {name!r} has {len(data)} values; its shape asks for {count}")
        for index, value in enumerate(data):
            if not _fits(value, datatype):
                refuse(f"input {name!r} has {str(value)[:50]!r} at index {index}; expected {datatype}")
        return data

    def _outputs(self) -> list[tuple[Tensor, bool, int]]:
        known = {spec.name: spec for spec in self.model.outputs}
        is_binary = self.is_raw or self.document.get("parameters", {}).get("binary_data_output", False)
        asked = self.document.get("outputs", [{"name": name} for name in known])
        if not isinstance(asked, list):
            refuse("outputs is no list")
        found = []
        for item in asked or [{"name": name} for name in known]:
            if not isinstance(item, dict) or item.get("name") not in known:
                refuse(f"output {item!r} is unknown; there are {', '.join(known)}")
            parameters = _parameters(item, "an output")
            count = parameters.get("classification", 0)
            if "classification" in parameters and (type(count) is not int or count < 1):
                refuse(f"classification is {count!r}; expected a number of classes")
            found.append((known[item["name"]], parameters.get("binary_data", is_binary), count))
        return found

    def answer(self, values: Arrays) -> tuple[dict[str, Any], list[bytes]]:
        outputs: list[dict[str, Any]] = []
        tensors: list[bytes] = []
        for spec, is_binary, count in self.outputs:
            array, datatype = values[spec.name], spec.datatype
            if count:
                array, datatype = _classify(array, count, self.model.classes), "BYTES"
            item = {"name": spec.name, "datatype": datatype, "shape": list(array.shape)}
            if is_binary:
                tensors.append(pack(datatype, array))
                item["parameters"] = {"binary_data_size": len(tensors[-1])}
            elif datatype == "FP16":
                refuse(f"output {spec.name!r} is FP16, which JSON does not carry; ask for binary data")
            else:
                item["data"] = as_json(array)
            outputs.append(item)
        head = {"model_name": self.model.name, "model_version": VERSION, "outputs": outputs}
        return ({"id": self.document["id"], **head} if "id" in self.document else head), tensors


def refuse(message: str) -> NoReturn:
    raise RefusedError(400, message)


def _classify(array: NDArray[Any], count: int, classes: tuple[str, ...]) -> NDArray[Any]:
    order = np.argsort(-array, axis=1, kind="stable")[:, :count]
    words = [
        [":".join([f"{row[place]:f}", str(place), *classes[place : place + 1]]) for place in places]
        for row, places in zip(array, order, strict=True)
    ]
    return np.array(words, object)


def _decompress(body: bytes, coding: str) -> bytes:
    if not body:
        refuse("the body is empty")
    try:
        data: bytes = gzip.decompress(body) if coding == "gzip" else zlib.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise RefusedError(400, f"cannot decompress the body: {error}") from error
    return data


def _load(text: bytes) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            raise ValueError("a key is there twice")
        return found

    def no_number(word: str) -> NoReturn:
        raise ValueError(f"{word} is no number in JSON")

    depth = most = 0
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text):
        depth += (byte in b"[{") - (byte in b"]}")
        most = max(most, depth)
    if most > MOST_DEEP:
        refuse(f"the JSON is {most} deep; at most {MOST_DEEP} is taken")
    try:
        return json.loads(text.decode(), object_pairs_hook=pairs, parse_constant=no_number)
    except ValueError as error:
        raise RefusedError(400, f"the body is no JSON of a request: {error}") from error


def _parameters(owner: dict[str, Any], name: str) -> dict[str, Any]:
    found = owner.get("parameters", {})
    if not isinstance(found, dict) or not all(isinstance(value, str | int | float) for value in found.values()):
        refuse(f"the parameters of {name} are {found!r}; expected strings, numbers and booleans")
    return found


def _flatten(data: list[Any], shape: list[int], name: str) -> list[Any]:
    """Return nested data flat, level by level, each of which has the sizes of the shape."""
    rows = [data]
    for size in shape:
        if not all(isinstance(row, list) and len(row) == size for row in rows):
            refuse(f"the data of input {name!r} are not nested as {shape}")
        rows = [value for row in rows for value in row]
    return rows


def _fits(value: Any, datatype: str) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if datatype.startswith("FP"):
        return type(value) in {int, float} and abs(value) <= np.finfo(DATATYPES[datatype]).max
    limits = np.iinfo(DATATYPES[datatype])
    return type(value) is int and limits.min <= value <= limits.max
