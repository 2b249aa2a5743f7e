"""Rows over gRPC that ask nothing of a model: health, metadata, configuration, statistics, reflection, what is not there."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from oip.over_grpc.wire import PATIENCE_S, GrpcWire, pb, refusal, require_code
from oip.rows import oip
from oip.wire import DATATYPES

pytestmark = oip
SERVICE = "inference.GRPCInferenceService"
OF_A_MODEL = ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"]


def call(wire: GrpcWire, method: str, **fields: Any) -> Any:
    return getattr(wire.stub, method)(getattr(pb, f"{method}Request")(**fields), timeout=PATIENCE_S)


def test_grpc_health_says_so(wire: GrpcWire) -> None:
    assert call(wire, "ServerLive").live is True
    assert call(wire, "ServerReady").ready is True
    for version in ("", *wire.versions):
        assert call(wire, "ModelReady", name=wire.model, version=version).ready is True


def test_grpc_server_metadata_name_version_and_extensions(wire: GrpcWire) -> None:
    told = call(wire, "ServerMetadata")
    assert told.name
    assert told.version


def test_grpc_model_metadata_name_versions_platform_inputs_and_outputs(wire: GrpcWire) -> None:
    for version in ("", *wire.versions):
        told = call(wire, "ModelMetadata", name=wire.model, version=version)
        assert (told.name, bool(told.versions)) == (wire.model, True)
        for item in (*told.inputs, *told.outputs):
            assert item.datatype in {*DATATYPES, "BF16"}
            assert all(size >= -1 for size in item.shape)


def test_grpc_statistics_count_what_was_inferred(wire: GrpcWire) -> None:
    if "statistics" not in wire.extensions:
        pytest.skip("the server has no statistics extension")

    def count() -> int:
        (told,) = call(wire, "ModelStatistics", name=wire.model).model_stats
        assert told.name == wire.model
        return int(told.inference_stats.success.count)

    before = count()
    wire.infer_arrays("raw", wire.make_arrays())
    assert count() == before + 1
    assert wire.model in [item.name for item in call(wire, "ModelStatistics").model_stats]


def test_grpc_configuration_tells_what_perf_analyzer_reads(wire: GrpcWire) -> None:
    if "model_configuration" not in wire.extensions:
        pytest.skip("the server has no model configuration extension")
    told = call(wire, "ModelConfig", name=wire.model).config
    assert told.name == wire.model
    for seen, specs in ((told.input, wire.inputs), (told.output, wire.outputs)):
        assert [item.name for item in seen] == [item.name for item in specs]
        names = [type(told.input[0]).DESCRIPTOR.fields_by_name["data_type"].enum_type] * len(seen)
        words = [kind.values_by_number[item.data_type].name for kind, item in zip(names, seen, strict=True)]
        assert words == [f"TYPE_{item.datatype.replace('BYTES', 'STRING')}" for item in specs]


@pytest.mark.parametrize("method", OF_A_MODEL)
@pytest.mark.parametrize("version", ["", "99", "one", "-1"])
def test_grpc_unknown_model_or_version_is_not_found(wire: GrpcWire, method: str, version: str) -> None:
    name = wire.model if version else "no-such-model"
    require_code(lambda: call(wire, method, name=name, version=version), "NOT_FOUND")


def test_grpc_unknown_method_and_service_are_unimplemented(wire: GrpcWire) -> None:
    for path in (f"/{SERVICE}/Nothing", "/none.Service/ModelInfer", "/", "//"):
        refused = refusal(lambda path=path: wire.channel.unary_unary(path)(b"", timeout=PATIENCE_S))
        assert refused.code() == grpc.StatusCode.UNIMPLEMENTED, f"{refused.code().name} "


def test_grpc_shared_memory_is_never_there(wire: GrpcWire) -> None:
    region = {"name": "region", "key": "/toolkit", "byte_size": 64}
    require_code(lambda: call(wire, "SystemSharedMemoryRegister", **region), "UNIMPLEMENTED")
    require_code(lambda: call(wire, "CudaSharedMemoryRegister", name="region", raw_handle=b"0"), "UNIMPLEMENTED")


def test_grpc_repository_load_and_unload_are_off_unless_asked_for(wire: GrpcWire) -> None:
    if "model_repository" in wire.extensions:
        pytest.skip("the server's model repository is on")
    for method in ("RepositoryModelLoad", "RepositoryModelUnload"):
        with pytest.raises(grpc.RpcError):
            call(wire, method, model_name=wire.model)
    assert call(wire, "ModelReady", name=wire.model).ready


def test_grpc_health_service_checks_and_watches(wire: GrpcWire) -> None:
    health = pytest.importorskip("grpc_health.v1.health_pb2", reason="grpcio-health-checking is not installed")
    stubs = pytest.importorskip("grpc_health.v1.health_pb2_grpc")
    stub = stubs.HealthStub(wire.channel)
    serving = health.HealthCheckResponse.SERVING
    for service in ("", SERVICE):
        assert stub.Check(health.HealthCheckRequest(service=service), timeout=PATIENCE_S).status == serving
    unknown = refusal(lambda: stub.Check(health.HealthCheckRequest(service="none"), timeout=PATIENCE_S))
    assert unknown.code() == grpc.StatusCode.NOT_FOUND
    watching = stub.Watch(health.HealthCheckRequest(service=SERVICE), timeout=PATIENCE_S)
    assert next(watching).status == serving
    watching.cancel()


def test_grpc_reflection_lists_the_service_and_its_messages(wire: GrpcWire) -> None:
    messages = pytest.importorskip(
        "grpc_reflection.v1alpha.reflection_pb2", reason="grpcio-reflection is not installed"
    )
    stubs = pytest.importorskip("grpc_reflection.v1alpha.reflection_pb2_grpc")
    asked = [
        messages.ServerReflectionRequest(list_services=""),
        messages.ServerReflectionRequest(file_containing_symbol=SERVICE),
        messages.ServerReflectionRequest(file_containing_symbol="no.such.symbol"),
    ]
    reflect = stubs.ServerReflectionStub(wire.channel).ServerReflectionInfo
    listed, described, unknown = reflect(iter(asked), timeout=PATIENCE_S)
    names = [item.name for item in listed.list_services_response.service]
    assert {SERVICE, "grpc.health.v1.Health"} <= set(names)
    assert any(b"raw_input_contents" in file for file in described.file_descriptor_response.file_descriptor_proto)
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
