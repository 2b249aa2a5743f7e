"""The double over gRPC: Triton's messages around the same function of arrays, right unless a test spoils it."""

from __future__ import annotations

__all__ = ["GrpcDouble", "RefusedCallError", "open_grpc_double"]

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from oip.double import VERSION, Model
from oip.over_grpc.wire import CONTENTS, pb
from oip.wire import DATATYPES, pack, unpack
from tritonclient.grpc import service_pb2_grpc


class RefusedCallError(Exception):
    """A call that is not answered: a code's name, a message, and what stands behind it."""

    def __init__(self, code: str, message: str, **trailing: str) -> None:
        super().__init__(message)
        self.code, self.trailing = grpc.StatusCode[code], tuple(trailing.items())


@dataclass(slots=True)
class GrpcDouble:
    """A double that is listening.

    Attributes:
        model: what it serves.
        url: where.
        is_raw: whether outputs come raw, not in the fields of their types.
        rewrite: what is done to a finished answer before it is sent.
        metadata: of every call, so far.
    """

    model: Model
    url: str = ""
    is_raw: bool = True
    rewrite: Callable[[Any], object] = lambda _: None
    metadata: list[dict[str, str]] = field(default_factory=list)


class _Service(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, double: GrpcDouble) -> None:
        self._double = double

    def ServerMetadata(self, request: Any, context: Any) -> Any:
        self._double.metadata.append(dict(context.invocation_metadata()))
        return pb.ServerMetadataResponse(name="double", version="1.0")

    def ModelReady(self, request: Any, context: Any) -> Any:
        return pb.ModelReadyResponse(ready=True)

    def ModelMetadata(self, request: Any, context: Any) -> Any:
        if request.name != self._double.model.name or request.version not in {"", VERSION}:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no model {request.name!r}")
        told = self._double.model.metadata()
        return pb.ModelMetadataResponse(
            name=request.name, versions=told["versions"], inputs=told["inputs"], outputs=told["outputs"]
        )

    def ModelInfer(self, request: Any, context: Any) -> Any:
        self._double.metadata.append(dict(context.invocation_metadata()))
        feeds = {}
        for item, data in zip(request.inputs, request.raw_input_contents, strict=True):
            dtype = object if item.datatype == "BYTES" else DATATYPES[item.datatype]
            feeds[item.name] = np.array(unpack(item.datatype, data), dtype).reshape(tuple(item.shape))
        try:
            outputs = self._double.model.run(feeds)
        except RefusedCallError as error:
            context.set_trailing_metadata(error.trailing)
            context.abort(error.code, str(error))
        response = pb.ModelInferResponse(model_name=request.model_name, model_version=VERSION, id=request.id)
        for spec in self._double.model.outputs:
            array = outputs[spec.name]
            item = response.outputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
            if self._double.is_raw:
                response.raw_output_contents.append(pack(spec.datatype, array))
            else:
                getattr(item.contents, CONTENTS[spec.datatype]).extend(array.reshape(-1).tolist())
        self._double.rewrite(response)
        return response


@contextlib.contextmanager
def open_grpc_double(model: Model) -> Iterator[GrpcDouble]:
    """Serve a model on a free port of this machine for as long as the block lasts."""
    double = GrpcDouble(model)
    with ThreadPoolExecutor(32) as pool:
        server = grpc.server(pool)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Service(double), server)
        double.url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield double
        finally:
            server.stop(None).wait()
