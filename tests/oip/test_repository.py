"""Rows of the model repository extension: off unless asked for; on, it changes what the server was started with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from oip.rows import oip, own_server, require_error
from oip.wire import Wire, ask
from served import serving

pytestmark = oip
INDEX = "/v2/repository/index"


def test_repository_index_lists_the_model(wire: Wire) -> None:
    if "model_repository" not in wire.extensions:
        pytest.skip("the server has no model repository extension")
    answer = wire.ask("POST", "/v2/repository/index", b"{}")
    assert answer.status == 200
    assert wire.model in [item["name"] for item in answer.document]


def test_repository_load_and_unload_are_off_unless_asked_for(wire: Wire) -> None:
    if "model_repository" in wire.extensions:
        pytest.skip("the server's model repository is on")
    for verb in ("load", "unload"):
        answer = wire.ask("POST", f"/v2/repository/models/{wire.model}/{verb}", b"{}")
        assert 400 <= answer.status < 500
    assert wire.ask("GET", f"{wire.path}/ready").status == 200


@pytest.fixture(scope="module")
def changeable(model_path: Path) -> Iterator[Wire]:
    """The product's own model behind a server whose repository is on."""
    with serving(f"digits={model_path}", "--repository", "--max-batch", "4") as server:
        yield Wire.find(server.url.rstrip("/"), "digits")


def _change(wire: Wire, verb: str, body: bytes = b"", *, model: str = "digits") -> int:
    return wire.ask("POST", f"/v2/repository/models/{model}/{verb}", body).status


@own_server
@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": false}', b'{"ready": true}'])
def test_index_tells_name_version_state_and_reason(changeable: Wire, body: bytes) -> None:
    assert "model_repository" in changeable.extensions
    (told,) = changeable.ask("POST", INDEX, body).document
    assert (told["name"], told["version"], told["state"], told["reason"]) == ("digits", "1", "READY", "")


@own_server
def test_an_unloaded_model_is_404_and_answers_again_when_it_is_loaded(changeable: Wire) -> None:
    arrays = changeable.make_arrays()
    before = changeable.infer_arrays("binary", arrays)
    for _ in range(2):  # what is unloaded already is no failure, as what is loaded already is none
        assert _change(changeable, "unload") == 200
    (told,) = changeable.ask("POST", INDEX).document
    assert (told["state"], told["reason"]) == ("UNAVAILABLE", "unloaded")
    assert changeable.ask("POST", INDEX, b'{"ready": true}').document == []
    for path in ("", "/ready", "/config", "/stats"):
        require_error(changeable.ask("GET", changeable.path + path), 404)
    require_error(changeable.infer(changeable.draft("json", arrays)), 404)
    assert ask(changeable.url, "GET", "/v2/health/ready").status == 200
    for _ in range(2):
        assert _change(changeable, "load", b'{"parameters": {}}') == 200
    after = changeable.infer_arrays("binary", arrays)
    assert all((after[name] == before[name]).all() for name in before)


@own_server
@pytest.mark.parametrize(
    ("verb", "body", "model", "status"),
    [
        ("load", b"", "no-such-model", 404),
        ("unload", b"", "no-such-model", 404),
        ("load", b"", "..%2F..%2Fetc%2Fpasswd", 404),
        ("load", b"nothing", "digits", 400),
        ("load", b'{"parameters": 3}', "digits", 400),
        # Triton's way to hand over a configuration and a file: nothing of a client's is ever loaded.
        ("load", b'{"parameters": {"config": "{}"}}', "digits", 400),
        ("load", b'{"parameters": {"file:1/model.onnx": "AAAA"}}', "digits", 400),
        ("load", b'{"parameters": {"previous": true}}', "digits", 400),
        ("unload", b'{"parameters": {"unload_dependents": "yes"}}', "digits", 400),
    ],
)
def test_what_cannot_be_loaded_is_refused_and_changes_nothing(
    changeable: Wire, verb: str, body: bytes, model: str, status: int
) -> None:
    require_error(changeable.ask("POST", f"/v2/repository/models/{model}/{verb}", body), status)
    assert changeable.ask("GET", f"{changeable.path}/ready").status == 200


@own_server
@pytest.mark.parametrize("path", [INDEX, "/v2/repository/models/digits/load", "/v2/repository/models/digits/unload"])
def test_the_repository_is_asked_with_post(changeable: Wire, path: str) -> None:
    answer = changeable.ask("GET", path)
    require_error(answer, 405)
    assert answer.headers["allow"] == "POST"
