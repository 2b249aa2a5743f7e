"""The protocol over gRPC: tensors travel raw; an answer may have them in the fields of their types."""

from __future__ import annotations

__all__ = ["OipGrpcRuntime"]

import os
import ssl
import struct
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

from toolkit.errors import ModelError, ResourceError, WrongAnswerError
from toolkit.onnx_file.element_types import STRING
from toolkit.runtimes.base import Arrays
from toolkit.runtimes.oip.address import read_token
from toolkit.runtimes.oip.connections import MOST_BYTES, MOST_S, TLS_HINTS, UNTRUSTED
from toolkit.runtimes.oip.runtime import FullError, OipRuntime
from toolkit.runtimes.oip.sending import CallSender
from toolkit.runtimes.oip.tensors import drop_ones, from_bytes, to_bytes
from toolkit.runtimes.query import Missed, Sender

SERVICE = "/inference.GRPCInferenceService"
PORTS = {"grpc": 8001, "grpcs": 443}
# A server's word for after how many milliseconds it may have room.
PUSHBACK = "grpc-retry-pushback-ms"
# Of the library, where it reaches nobody.
UNCONNECTED = "failed to connect to all addresses"
# A pool of its own: a second `inference` package in the common one ends the process.
POOL = DescriptorPool()
for _file in FileDescriptorSet.FromString(Path(__file__).with_name("client.binpb").read_bytes()).file:
    POOL.AddSerializedFile(_file.SerializeToString())


def _message(name: str) -> Any:
    return GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))


class OipGrpcRuntime(OipRuntime):
    """A server asked over gRPC, on one channel that all requests share."""

    name: ClassVar[str] = "oip-grpc"
    schemes: ClassVar[tuple[str, ...]] = ("grpc", "grpcs")
    example: ClassVar[str] = "grpc://127.0.0.1:8001"

    def _connect(self) -> None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what goes wrong is told in a line of ours
        import grpc

        scheme = self._address.scheme
        target = f"{self._address.bracketed}:{self._address.port or PORTS[scheme]}"
        options = [("grpc.max_receive_message_length", MOST_BYTES), ("grpc.enable_http_proxy", 0)]
        if scheme == "grpc":
            self._channel = grpc.insecure_channel(target, options)
        else:
            roots = ssl.get_default_verify_paths().cafile
            credentials = grpc.ssl_channel_credentials(Path(roots).read_bytes() if roots else None)
            self._channel = grpc.secure_channel(target, credentials, options)
        self._error, self._codes = grpc.RpcError, grpc.StatusCode
        self._metadata = [("authorization", token)] if (token := read_token()) else []

    def _hang_up(self) -> None:
        self._channel.close()

    def _call(self, method: str, request: Any) -> Any:
        """Ask once, and return the answer's message."""
        ask = self._channel.unary_unary(f"{SERVICE}/{method}")
        data = ask(request.SerializeToString(), timeout=MOST_S, metadata=self._metadata)
        try:
            return _message(f"{method}Response").FromString(data)
        except DecodeError as error:
            raise WrongAnswerError(f"the server's answer to {method} cannot be read: {error}") from error

    def _read(self, method: str, request: Any) -> Any:
        """Return what a method tells before a request, or what the server says where it has no such model."""
        try:
            return self._call(method, request)
        except WrongAnswerError as error:
            raise ResourceError(f"{self.settings.at} does not speak the Open Inference Protocol: {error}") from error
        except self._error as error:
            code, words = error.code(), _words(error)
            if code == self._codes.NOT_FOUND:
                return words
            if code in {self._codes.UNAUTHENTICATED, self._codes.PERMISSION_DENIED}:
                raise self._needs_token(words) from error
            if code in {self._codes.UNAVAILABLE, self._codes.DEADLINE_EXCEEDED}:
                raise self._is_silent(words) from error
            raise ResourceError(
                f"{self.settings.at} does not speak the Open Inference Protocol: {method} gives {words}"
            ) from error

    def _is_silent(self, words: str) -> ResourceError:
        """Return what is raised where nobody answers."""
        tls = "" if self._address.scheme == "grpcs" else "; a server with TLS wants grpcs://"
        hint = f"see that a server runs there, or name another with --at{tls}"
        if UNTRUSTED in words:
            hint = TLS_HINTS[UNTRUSTED]
        return ResourceError(f"{self.settings.at} does not answer in gRPC: {words}; {hint}")

    def _greet(self) -> str:
        told = self._read("ServerMetadata", _message("ServerMetadataRequest")())
        if isinstance(told, str) or not told.name:
            raise ResourceError(f"{self.settings.at} does not speak the Open Inference Protocol: it has no name")
        return f"{told.name} {told.version}"

    def _list_models(self) -> list[str]:
        request = _message("RepositoryIndexRequest")()
        try:
            return [item.name for item in self._call("RepositoryIndex", request).models]
        except self._error:  # a server need not list them
            return []

    def _describe(self, model: str) -> dict[str, Any] | str:
        asked = _message("ModelRequest")(name=model, version=self._address.version or "")
        told = self._read("ModelMetadata", asked)
        if isinstance(told, str):
            return told
        ready = self._read("ModelReady", asked)
        if isinstance(ready, str) or not ready.ready:
            raise ResourceError(f"model {model!r} at {self.settings.at} is not ready")
        inputs, outputs = (
            [{"name": item.name, "datatype": item.datatype, "shape": list(item.shape)} for item in items]
            for items in (told.inputs, told.outputs)
        )
        return {"versions": list(told.versions), "inputs": inputs, "outputs": outputs}

    def open_sender(self, feeds: Arrays, *, at_once: int | None = None) -> Sender:
        """Return what sends the same request many times; see `Runtime.open_sender`."""
        ask, request = self._channel.unary_unary(f"{SERVICE}/ModelInfer"), self._write(feeds, self._number())
        begin = partial(ask.future, request.SerializeToString(), timeout=MOST_S, metadata=self._metadata)
        return CallSender(begin, tell=self._tell_missed, at_once=at_once)

    def _tell_missed(self, call: Any) -> Missed | None:
        """Return what became of a call; None where it was answered."""
        code = call.code()
        return None if code == self._codes.OK else Missed(self._is_full(call), _words(call))

    def _is_full(self, error: Any) -> bool:
        """Tell whether a server that is there has no room: where none is, the library gives the same code."""
        return error.code() == self._codes.UNAVAILABLE and UNCONNECTED not in str(error.details())

    def _write(self, feeds: Arrays, number: str) -> Any:
        request = _message("ModelInferRequest")(
            model_name=self._model, model_version=self._address.version or "", id=number
        )
        for name, array in feeds.items():
            request.inputs.add(name=name, datatype=self._input_datatype(name), shape=array.shape)
            request.raw_input_contents.append(to_bytes(array))
        return request

    def _ask(self, feeds: Arrays) -> dict[str, Any]:
        number = self._number()
        try:
            response = self._call("ModelInfer", self._write(feeds, number))
        except self._error as error:
            if UNCONNECTED in _words(error):
                raise self._is_silent(_words(error)) from error
            if self._is_full(error):
                wait_ms = str(dict(error.trailing_metadata() or ()).get(PUSHBACK, ""))
                raise FullError(_words(error), wait_s=int(wait_ms) / 1e3 if wait_ms.isdecimal() else 1.0) from error
            raise ModelError(f"the server refuses a request with {_words(error)}") from error
        try:
            return self._take(response, number)
        except (ValueError, TypeError, struct.error) as error:
            raise WrongAnswerError(f"the server's answer cannot be read: {type(error).__name__}: {error}") from error

    def _take(self, response: Any, number: str) -> dict[str, Any]:
        self._require_own(asked=number, told=response.id or number, model=response.model_name)
        blocks, found = response.raw_output_contents, {}
        if len(blocks) not in {0, len(response.outputs)}:
            raise WrongAnswerError(f"{len(response.outputs)} outputs come with {len(blocks)} raw contents")
        for at, item in enumerate(response.outputs):
            spec = self._find_output(item.name, item.datatype)
            values = from_bytes(memoryview(blocks[at]), spec.dtype) if blocks else _from_fields(item, spec.dtype)
            found[spec.name] = values.reshape(drop_ones(item.shape, len(spec.shape)))
        return found


def _from_fields(item: Any, dtype: str) -> NDArray[Any]:
    """Return the values of an output from whichever field has some."""
    given = [values for _, values in item.contents.ListFields()]
    if len(given) > 1:
        raise ValueError(f"output {item.name!r} has contents of {len(given)} types")
    values = list(given[0]) if given else []
    if dtype == STRING:
        return np.array([text.decode() for text in values], object)
    array = np.array(values, dtype)
    if not np.array_equal(array, np.array(values, array.dtype), equal_nan=array.dtype.kind == "f"):
        raise ValueError(f"output {item.name!r} has numbers that are no {dtype}")
    return array


def _words(error: Any) -> str:
    """Return what a server says of an error, and its code."""
    return f"{error.code().name}: {' '.join(str(error.details()).split())[:300]}"
