"""An Open Inference Protocol server as the suite speaks to it: plain HTTP, no client library between a row and the socket."""

from __future__ import annotations

__all__ = ["DATATYPES", "HEADER_LENGTH", "Answer", "Draft", "Tensor", "ToldModel", "Wire"]

import http.client
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

HEADER_LENGTH = "Inference-Header-Content-Length"
DATATYPES = {
    "BOOL": "?",
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "BYTES": "O",
}
PATIENCE_S = 60.0
# Of a stranger's whole numbers: small ones are classes or places that there are.
MOST_OF_A_NUMBER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output as the server's metadata tell it; -1 is an open size."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON that the body is, or begins with."""
        length = self.headers.get(HEADER_LENGTH)
        return json.loads(self.body if length is None else self.body[: int(length)])

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The outputs, each with the datatype and shape that the answer states, from JSON or from the bytes behind it."""
        told = self.document
        rest, found = self.body[int(self.headers.get(HEADER_LENGTH, len(self.body))) :], {}
        for item in told["outputs"]:
            size = item.get("parameters", {}).get("binary_data_size")
            if size is None:
                values = item["data"]
            else:
                values, rest = unpack(item["datatype"], rest[:size]), rest[size:]
            dtype = object if item["datatype"] == "BYTES" else DATATYPES[item["datatype"]]
            found[item["name"]] = np.array(values, dtype).reshape(item["shape"])
        assert rest == b"", f"{len(rest)} bytes behind the last output"
        return found


@dataclass(slots=True)
class Draft:
    """An inference request that a row may still spoil.

    Attributes:
        document: the JSON; the outputs are told in it where there are any to tell.
        tensors: bytes behind it, in the order of the inputs; none in JSON.
        headers: of HTTP.
    """

    document: dict[str, Any]
    tensors: list[bytes] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def input(self) -> dict[str, Any]:
        """The first input."""
        first: dict[str, Any] = self.document["inputs"][0]
        return first

    def encode(self) -> bytes:
        """Return the body; the header that tells its parts is set unless the row set it."""
        text = json.dumps(self.document).encode()
        if self.tensors:
            self.headers.setdefault(HEADER_LENGTH, str(len(text)))
        return text + b"".join(self.tensors)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldModel:
    """A model as a server tells it, by whatever protocol.

    Attributes:
        model: its name there.
        inputs: by its metadata.
        outputs: by its metadata.
        versions: that the server lists.
        extensions: of the protocol, as the server names them.
        largest: the largest batch by its configuration; None where it tells none.
    """

    model: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    versions: tuple[str, ...]
    extensions: tuple[str, ...]
    largest: int | None

    @property
    def has_batches(self) -> bool:
        """Whether the first size of every input and output is open."""
        return all(item.shape and item.shape[0] < 0 for item in (*self.inputs, *self.outputs))

    def up_to(self, batch: int) -> int:
        """Return a batch size that the model takes, and the server."""
        return min(batch, self.largest or batch) if self.has_batches else 1

    def make_arrays(self, batch: int = 1, seed: int = 0) -> dict[str, NDArray[Any]]:
        """Return values for every input; an open first size is the batch, other open ones are 1."""
        return make_arrays(self.inputs, batch, seed)

    def infer_arrays(self, form: str, arrays: Mapping[str, NDArray[Any]], **top: Any) -> dict[str, NDArray[Any]]:
        """Return the outputs of a request that has to be answered."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire(ToldModel):
    """One model behind a URL.

    Attributes:
        url: of the server.
    """

    url: str

    @classmethod
    def find(cls, url: str, model: str) -> Wire:
        """Read what the server tells of itself and of a model; what it cannot tell is a failed row later."""
        told = ask(url, "GET", f"/v2/models/{quote(model)}").document
        config = ask(url, "GET", f"/v2/models/{quote(model)}/config")
        largest = config.document.get("max_batch_size") if config.status == 200 else None
        return cls(
            url=url,
            model=model,
            inputs=tuple(map(_tensor, told["inputs"])),
            outputs=tuple(map(_tensor, told["outputs"])),
            versions=tuple(told.get("versions", ())),
            extensions=tuple(ask(url, "GET", "/v2").document.get("extensions", ())),
            largest=largest or None,
        )

    @property
    def path(self) -> str:
        """Of the model."""
        return f"/v2/models/{quote(self.model)}"

    @contextmanager
    def connect(self) -> Iterator[http.client.HTTPConnection]:
        """Open a connection for several requests."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
        try:
            yield connection
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request over a connection of its own."""
        return ask(self.url, method, path, body, headers)

    def infer(self, draft: Draft) -> Answer:
        """Send a draft to the model."""
        return self.ask("POST", f"{self.path}/infer", draft.encode(), draft.headers)

    def draft(self, form: str, arrays: Mapping[str, NDArray[Any]], **top: Any) -> Draft:
        """Return a request that is right: `json`, or `binary` with every output binary, too."""
        inputs: list[dict[str, Any]] = []
        tensors: list[bytes] = []
        for spec in self.inputs:
            array = arrays[spec.name]
            item = {"name": spec.name, "datatype": spec.datatype, "shape": list(array.shape)}
            if form == "json":
                item["data"] = as_json(array)
            else:
                tensors.append(pack(spec.datatype, array))
                item["parameters"] = {"binary_data_size": len(tensors[-1])}
            inputs.append(item)
        if form == "binary":
            top = {**top, "parameters": {**top.get("parameters", {}), "binary_data_output": True}}
        return Draft({"inputs": inputs, **top}, tensors)

    def infer_arrays(self, form: str, arrays: Mapping[str, NDArray[Any]], **top: Any) -> dict[str, NDArray[Any]]:
        """Return the outputs of a right request, which has to be answered."""
        answer = self.infer(self.draft(form, arrays, **top))
        assert answer.status == 200, answer.body[:500]
        return answer.arrays


def make_arrays(inputs: Sequence[Tensor], batch: int = 1, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Return values for every input; an open first size is the batch, other open ones are 1."""
    generator, made = np.random.default_rng(seed), {}
    for spec in inputs:
        sizes = [1 if size < 0 else size for size in spec.shape]
        if spec.shape and spec.shape[0] < 0:
            sizes[0] = batch
        made[spec.name] = _values(spec.datatype, sizes, generator)
    return made


def ask(url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    """Send one request over a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    try:
        connection.request(method, parts.path.rstrip("/") + path, body or None, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())  # type: ignore[arg-type]  # Message finds names in any case
    finally:
        connection.close()


def pack(datatype: str, array: NDArray[Any]) -> bytes:
    """Return the bytes of a tensor: little-endian, row-major; a length before each of BYTES."""
    if datatype != "BYTES":
        return array.astype(DATATYPES[datatype]).tobytes()
    return b"".join(struct.pack("<I", len(item)) + item for item in (str(value).encode() for value in array.flat))


def unpack(datatype: str, data: bytes) -> list[Any]:
    """Return the values of a tensor's bytes; of BYTES as text."""
    if datatype != "BYTES":
        return list(np.frombuffer(data, DATATYPES[datatype]))
    values, place = [], 0
    while place < len(data):
        (size,) = struct.unpack_from("<I", data, place)
        values.append(data[place + 4 : place + 4 + size].decode())
        place += 4 + size
    return values


def as_json(array: NDArray[Any]) -> list[Any]:
    """Return the flat values of a tensor, in row-major order."""
    values: list[Any] = array.reshape(-1).tolist()
    return values


def _values(datatype: str, sizes: list[int], generator: np.random.Generator) -> NDArray[Any]:
    if datatype == "BYTES":
        return np.array([f"text {number}" for number in range(int(np.prod(sizes)))], object).reshape(sizes)
    if datatype.startswith("FP"):
        return generator.standard_normal(sizes).astype(DATATYPES[datatype])
    most = 256 if datatype == "UINT8" else MOST_OF_A_NUMBER
    return generator.integers(0, most, sizes).astype(DATATYPES[datatype])


def _tensor(item: Mapping[str, Any]) -> Tensor:
    return Tensor(name=item["name"], datatype=item["datatype"], shape=tuple(item["shape"]))
