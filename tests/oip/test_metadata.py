"""Rows of the protocol that are asked with GET: health, metadata, configuration, statistics, and how an error looks."""

from __future__ import annotations

import pytest
from oip.rows import oip, require_error
from oip.wire import DATATYPES, Wire

pytestmark = oip


@pytest.mark.parametrize(
    ("path", "told"), [("/v2/health/live", "live"), ("/v2/health/ready", "ready"), ("{model}/ready", "ready")]
)
def test_health_is_200_and_says_so(wire: Wire, path: str, told: str) -> None:
    answer = wire.ask("GET", path.format(model=wire.path))
    assert answer.status == 200
    if answer.body:  # the specification's own text has no body, its schema has one
        assert answer.document[told] is True
        if "{model}" in path:
            assert answer.document["name"] == wire.model


def test_server_metadata_name_version_and_extensions(wire: Wire) -> None:
    answer = wire.ask("GET", "/v2")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/json")
    told = answer.document
    assert isinstance(told["name"], str)
    assert isinstance(told["version"], str)
    assert all(isinstance(item, str) for item in told["extensions"])


def test_model_metadata_name_versions_platform_inputs_and_outputs(wire: Wire) -> None:
    answer = wire.ask("GET", wire.path)
    assert answer.status == 200
    told = answer.document
    assert told["name"] == wire.model
    assert told["versions"]
    assert all(isinstance(item, str) for item in told["versions"])
    assert isinstance(told["platform"], str)
    for item in (*told["inputs"], *told["outputs"]):
        assert item["datatype"] in {*DATATYPES, "BF16"}
        assert all(isinstance(size, int) and size >= -1 for size in item["shape"])


def test_each_version_has_metadata_and_readiness_of_its_own(wire: Wire) -> None:
    for version in wire.versions:
        assert wire.ask("GET", f"{wire.path}/versions/{version}").status == 200
        assert wire.ask("GET", f"{wire.path}/versions/{version}/ready").status == 200


def test_statistics_count_what_was_inferred(wire: Wire) -> None:
    if "statistics" not in wire.extensions:
        pytest.skip("the server has no statistics extension")
    before = _count(wire)
    wire.infer_arrays("json", wire.make_arrays())
    assert _count(wire) == before + 1


def _count(wire: Wire) -> int:
    answer = wire.ask("GET", f"{wire.path}/stats")
    assert answer.status == 200
    (told,) = [item for item in answer.document["model_stats"] if item["name"] == wire.model]
    return int(told["inference_stats"]["success"]["count"])


def test_configuration_tells_what_perf_analyzer_reads(wire: Wire) -> None:
    if "model_configuration" not in wire.extensions:
        pytest.skip("the server has no model configuration extension")
    told = wire.ask("GET", f"{wire.path}/config").document
    assert told["name"] == wire.model
    assert isinstance(told["max_batch_size"], int)
    assert [item["name"] for item in told["input"]] == [item.name for item in wire.inputs]
    assert [item["data_type"] for item in told["input"]] == [_of_config(item.datatype) for item in wire.inputs]
    assert [item["name"] for item in told["output"]] == [item.name for item in wire.outputs]


def _of_config(datatype: str) -> str:
    return "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"


@pytest.mark.parametrize("call", ["GET {path}", "GET {path}/ready", "POST {path}/infer", "GET {path}/config"])
@pytest.mark.parametrize(
    "path", ["/v2/models/no-such-model", "{model}/versions/99", "{model}/versions/one", "{model}/versions/-1"]
)
def test_unknown_model_or_version_is_404(wire: Wire, call: str, path: str) -> None:
    method, _, where = call.format(path=path.format(model=wire.path)).partition(" ")
    body = wire.draft("json", wire.make_arrays()).encode() if method == "POST" else b""
    require_error(wire.ask(method, where, body), 404)


@pytest.mark.parametrize(
    "path", ["/", "/v2/", "/v2/nothing", "/v3", "/v2/models", "{model}/nothing", "/v2/models//ready"]
)
def test_unknown_path_is_404_or_something_of_the_servers_own(wire: Wire, path: str) -> None:
    answer = wire.ask("GET", path.format(model=wire.path))
    assert answer.status == 404 or path in {"/", "/v2/", "/v2/models"}
    if answer.status == 404 and path not in {"/", "/v3"}:
        require_error(answer, 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "{model}/infer", "POST"),
        ("PUT", "{model}/infer", "POST"),
        ("DELETE", "{model}", "GET"),
        ("POST", "{model}", "GET"),
        ("POST", "/v2/health/ready", "GET"),
        ("POST", "/v2/health/live", "GET"),
        ("POST", "{model}/ready", "GET"),
        ("POST", "/v2", "GET"),
    ],
)
def test_wrong_method_is_405_with_allow(wire: Wire, method: str, path: str, allowed: str) -> None:
    answer = wire.ask(method, path.format(model=wire.path))
    require_error(answer, 405)
    assert allowed in [word.strip() for word in answer.headers["allow"].split(",")]


def test_shared_memory_is_never_there(wire: Wire) -> None:
    body = b'{"key": "/toolkit", "offset": 0, "byte_size": 64}'
    for kind in ("system", "cuda"):
        assert 400 <= wire.ask("POST", f"/v2/{kind}sharedmemory/region/none/register", body).status < 500
