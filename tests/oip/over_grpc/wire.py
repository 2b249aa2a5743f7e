"""A server of the protocol as the suite speaks to it over gRPC: with Triton's own messages, and nothing else between."""

from __future__ import annotations

__all__ = ["GrpcWire", "connect", "pb", "refusal", "require_code"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from oip.wire import DATATYPES, Tensor, ToldModel, pack, unpack

pytest.importorskip(
    "tritonclient.grpc", reason="the extra `kits` is not installed, whose messages the rows are made of"
)
import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

PATIENCE_S = 60.0
CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    **{name: f"{name.lower()}_contents" for name in ("INT64", "UINT64", "FP32", "FP64", "BYTES")},
}


def connect(address: str, **options: Any) -> grpc.Channel:
    """Open a channel of its own, which takes messages of any size."""
    given = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]
    return grpc.insecure_channel(address, [*given, *((f"grpc.{name}", value) for name, value in options.items())])


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcWire(ToldModel):
    """One model behind an address.

    Attributes:
        address: host and port.
        channel: to it.
        stub: of the service.
    """

    address: str
    channel: grpc.Channel
    stub: service_pb2_grpc.GRPCInferenceServiceStub

    @classmethod
    def find(cls, address: str, model: str) -> GrpcWire:
        """Read what the server tells of itself and of a model."""
        channel = connect(address)
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        told = stub.ModelMetadata(pb.ModelMetadataRequest(name=model), timeout=PATIENCE_S, wait_for_ready=True)
        server = stub.ServerMetadata(pb.ServerMetadataRequest(), timeout=PATIENCE_S)
        config = stub.ModelConfig(pb.ModelConfigRequest(name=model), timeout=PATIENCE_S).config
        return cls(
            address=address,
            channel=channel,
            stub=stub,
            model=model,
            inputs=tuple(map(_tensor, told.inputs)),
            outputs=tuple(map(_tensor, told.outputs)),
            versions=tuple(told.versions),
            extensions=tuple(server.extensions),
            largest=config.max_batch_size or None,
        )

    def draft(self, form: str, arrays: Mapping[str, NDArray[Any]], **top: Any) -> pb.ModelInferRequest:
        """Return a request that is right: `raw`, or `contents` with each tensor in the field of its type."""
        request = pb.ModelInferRequest(model_name=self.model, **top)
        for spec in self.inputs:
            array = arrays[spec.name]
            item = request.inputs.add(name=spec.name, datatype=spec.datatype, shape=array.shape)
            if form == "raw":
                request.raw_input_contents.append(pack(spec.datatype, array))
            else:
                values = array.reshape(-1).tolist()
                texts = [value.encode() for value in values] if spec.datatype == "BYTES" else values
                getattr(item.contents, CONTENTS[spec.datatype]).extend(texts)
        return request

    def infer(self, request: pb.ModelInferRequest, **options: Any) -> pb.ModelInferResponse:
        """Send a request to the model."""
        return self.stub.ModelInfer(request, **{"timeout": PATIENCE_S, **options})

    def infer_arrays(self, form: str, arrays: Mapping[str, NDArray[Any]], **top: Any) -> dict[str, NDArray[Any]]:
        """Return the outputs of a right request, which has to be answered raw."""
        response = self.infer(self.draft(form, arrays, **top))
        found = {}
        for item, data in zip(response.outputs, response.raw_output_contents, strict=True):
            dtype = object if item.datatype == "BYTES" else DATATYPES[item.datatype]
            assert not item.contents.ListFields()
            found[item.name] = np.array(unpack(item.datatype, data), dtype).reshape(tuple(item.shape))
        return found


def refusal(ask: Callable[[], Any]) -> grpc.RpcError:
    """Return how a call was refused; it is an error that it was answered."""
    try:
        answer = ask()
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"OK {str(answer)[:300]}")


def require_code(ask: Callable[[], Any], code: str) -> str:
    """Return the message of a refusal."""
    error = refusal(ask)
    assert error.code().name == code, f"{error.code().name} {error.details()[:300]}"
    assert error.details()
    return str(error.details())


def _tensor(item: Any) -> Tensor:
    return Tensor(name=item.name, datatype=item.datatype, shape=tuple(item.shape))
