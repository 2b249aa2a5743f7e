"""Which server the rows over gRPC are held against: the one at `TOOLKIT_OIP_GRPC`, our own, or real Triton."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from oip.conftest import MODELS, TRITON, URL
from served import Served

if TYPE_CHECKING:
    from oip.over_grpc.wire import GrpcWire

ADDRESS = os.environ.get("TOOLKIT_OIP_GRPC", "").removeprefix("grpc://").rstrip("/")


@pytest.fixture(scope="session")
def address(request: pytest.FixtureRequest) -> str:
    """Host and port of the server."""
    if TRITON:
        return str(request.getfixturevalue("triton").grpc)
    if not ADDRESS and URL:
        pytest.skip("the server's address for gRPC was not given: make conform URL=... GRPC=HOST:PORT")
    if ADDRESS:
        return ADDRESS
    own: Served = request.getfixturevalue("own")
    if not own.grpc:
        pytest.skip("the extra `serve-grpc` is not installed")
    return own.grpc


@pytest.fixture(scope="session", params=MODELS)
def wire_found(request: pytest.FixtureRequest, address: str) -> GrpcWire:
    """The model that the rows are about, as it was when the suite began."""
    from oip.over_grpc.wire import GrpcWire  # where its messages are not installed, nothing asks for it

    return GrpcWire.find(address, request.param or _only_model(address))


@pytest.fixture
def wire(wire_found: GrpcWire, request: pytest.FixtureRequest) -> GrpcWire:
    """The model that the rows are about."""
    if TRITON:
        request.getfixturevalue("triton").ensure()  # the row before may have ended it
        from oip.over_grpc.wire import pb

        wire_found.stub.ServerLive(pb.ServerLiveRequest(), wait_for_ready=True, timeout=60)
    return wire_found


def _only_model(address: str) -> str:
    from oip.over_grpc.wire import connect, pb

    ask = connect(address).unary_unary(
        "/inference.GRPCInferenceService/RepositoryIndex",
        request_serializer=pb.RepositoryIndexRequest.SerializeToString,
        response_deserializer=pb.RepositoryIndexResponse.FromString,
    )
    try:
        names = [item.name for item in ask(pb.RepositoryIndexRequest(), timeout=30, wait_for_ready=True).models]
    except Exception:
        names = []
    if len(names) != 1:
        pytest.exit(f"{address} serves {names or 'models that it does not list'}; name one: TOOLKIT_OIP_MODEL", 2)
    return str(names[0])
