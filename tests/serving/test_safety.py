"""Who may come in, and how a server that cannot start says why."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import onnx
import pytest
import trustme
from onnx import TensorProto, helper
from served import serving

from toolkit.card import CARD_KEY
from toolkit.cli.app import run_words
from toolkit.errors import CheckFailedError, ProviderError, ResourceError, UsageError
from toolkit.onnx_file.source import ModelSource
from toolkit.prediction.config import EngineChoice
from toolkit.runtimes.base import RuntimeSettings
from toolkit.serving.config import ServeConfig
from toolkit.serving.opening import open_engine

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
from toolkit.serving.http.server import bind, make_tls
from toolkit.serving.serve import ServedFile, read_token, serve


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("open-sesame\n")
    path.chmod(0o600)
    return path


def test_a_token_and_client_certificates_keep_others_out(model_path: Path, tmp_path: Path, token_file: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = [
        "--tls-cert",
        tmp_path / "cert.pem",
        "--tls-key",
        tmp_path / "key.pem",
        "--tls-client-ca",
        tmp_path / "ca.pem",
    ]
    stranger, known = (ssl.create_default_context(cafile=str(tmp_path / "ca.pem")) for _ in range(2))
    authority.issue_cert("client").configure_cert(known)

    def ask(path: str, context: ssl.SSLContext, token: str = "") -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{server.url}{path}", headers=headers), context=context
            ) as told:
                return int(told.status)
        except HTTPError as error:
            return error.code if error.headers["www-authenticate"] == "Bearer" else 0

    with serving(f"digits={model_path}", "--token-file", token_file, *tls) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert ask("v2", known, "open-sesame") == 200
        assert ask("v2", known) == ask("v2", known, "open-sesam") == ask("metrics", known, "x") == 401
        assert ask("v2/health/ready", known) == 200
        with pytest.raises((URLError, OSError)):
            ask("v2/health/ready", stranger)


def refuse(*arguments: str | Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "toolkit", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["../x", ".."])
def test_a_name_that_no_address_can_have_is_refused(model_path: Path, name: str) -> None:
    code, words = refuse(f"{name}={model_path}")
    assert (code, words.startswith(f"error: '{name}' cannot name a model in an address; expected NAME=FILE")) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ([], "127.0.0.1"),
        (["--public"], "0.0.0.0"),
        (["--public", "--host", "127.0.0.1"], "127.0.0.1"),
        (["--public", "--host", "10.0.0.1"], "10.0.0.1"),
    ],
)
def test_an_address_that_was_named_is_the_only_one(
    model_path: Path, options: list[str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("toolkit.cli.actions.serve.serve_and_tell", lambda _, config, **__: seen.append(config.host))
    assert run_words(["serve", str(model_path), *options], debug=False) == 0
    assert seen == [host]


def test_an_address_that_is_not_this_machines_is_named() -> None:
    with pytest.raises(ResourceError, match=r"cannot serve at 192\.0\.2\.1 port 0: .*; give another one with --host"):
        bind("192.0.2.1", 0, option="--port")


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_a_port_in_use_is_named(model_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refuse(model_path, "--port", "0", option, str(port)) == (
            5,
            f"error: cannot serve at 127.0.0.1 port {port}: address already in use; give another one with {option}\n",
        )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"host": "0.0.0.0"}, "--host 0.0.0.0 lets others than this machine come in; say so with --public"),
        ({"host": "example.org"}, "--public"),
        ({"tls_key": Path("key.pem")}, "--tls-cert and --tls-key go together"),
        ({"tls_client_authority": Path("ca.pem")}, "--tls-client-ca needs --tls-cert"),
        ({"max_batch": 0}, "--max-batch is 0; expected 1 or more"),
        ({"max_queue": 3}, "--max-queue is 3; expected 64 or more"),
        ({"max_wait_ms": -1.0}, "--max-wait-ms is -1; expected 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        ServeConfig(**settings)
    assert words in str(refused.value)


def test_what_only_parity_asks_serves_nobody(model_path: Path) -> None:
    config = ServeConfig(engine=EngineChoice(runtime="onnx-float64"), port=0)
    with pytest.raises(UsageError, match="runtime onnx-float64 does not execute a file by itself"):
        serve([ServedFile("digits", model_path)], config, tell=pytest.fail, on_ready=lambda *_: pytest.fail("served"))


def test_a_token_that_others_can_read_is_none(token_file: Path) -> None:
    assert read_token(token_file) == b"open-sesame"
    token_file.chmod(0o640)
    with pytest.raises(ResourceError, match=f"is open to others .mode 640.; close it: chmod 600 {token_file}"):
        read_token(token_file)
    token_file.chmod(0o600)
    token_file.write_text("two\nlines")
    with pytest.raises(ResourceError, match="expected one line of ASCII"):
        read_token(token_file)


def test_a_certificate_that_is_none_is_named(token_file: Path) -> None:
    with pytest.raises(ResourceError, match=r"token cannot be used for TLS: .*; expected PEM files"):
        make_tls(ServeConfig(tls_certificate=token_file, tls_key=token_file))


@pytest.mark.slow
def test_a_provider_that_is_not_active_is_no_server(model_path: Path) -> None:
    with pytest.raises(ProviderError, match="tensorrt"):
        open_engine(ModelSource.read(model_path), RuntimeSettings(provider="tensorrt"), max_batch=1)


def test_a_model_that_does_not_answer_its_golden_vectors_is_not_served(model_path: Path) -> None:
    model = onnx.load(str(model_path))
    entry = next(item for item in model.metadata_props if item.key == CARD_KEY)
    card = json.loads(entry.value)
    card["golden"]["logits"][0][0] += 1
    entry.value = json.dumps(card)
    wrong = ModelSource.in_memory(model.SerializeToString(), Path("wrong.onnx"))
    with pytest.raises(CheckFailedError, match=r"wrong.onnx does not answer its golden vectors: .*; it is not served"):
        open_engine(wrong, RuntimeSettings(threads=1), max_batch=2)


def test_rows_share_a_call_only_where_each_is_answered_as_alone() -> None:
    apart = open_engine(stranger("Relu"), RuntimeSettings(threads=1), max_batch=4)
    mixed = open_engine(stranger("Softmax", axis=0), RuntimeSettings(threads=1), max_batch=4)
    with apart.worker, mixed.worker:
        assert (apart.tensors.largest, mixed.tensors.largest) == (4, 0)
        assert apart.line.predict(4) > 0


def stranger(operator: str, **attributes: int) -> ModelSource:
    """Return a file without a card, of one operator."""
    shape: list[int | str] = ["batch", 3]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], **attributes)], "g", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return ModelSource.in_memory(model.SerializeToString(), Path(f"{operator}.onnx"))
