"""Which server the suite is held against: the one at `TOOLKIT_OIP_URL`, our own, or real Triton."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from oip.own_models import write_slow_model, write_types_model
from oip.wire import Wire, ask
from served import Served, serving
from serving_load.triton import Triton, run_triton

URL = os.environ.get("TOOLKIT_OIP_URL", "").rstrip("/")
# An environment with Triton's server; it is then the one.
TRITON = os.environ.get("TOOLKIT_TRITON", "")
# Of ours: the product's own model in two versions, and one with an input of each datatype.
# `make conform` sets both variables, to nothing where they were not given.
ASKED = os.environ.get("TOOLKIT_OIP_MODEL") or ("digits" if TRITON else "" if URL else "digits,types")
MODELS = ASKED.split(",")

# The rows that Triton answers otherwise, with what it says; written anew with TOOLKIT_UPDATE_GOLDEN=1.
DIFFERENCES = Path(__file__).with_name("triton-2.51.0.txt")
_failed: dict[str, str] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect of Triton what is known of it: a row that is listed and passes is a failure, too."""
    if not TRITON or "TOOLKIT_UPDATE_GOLDEN" in os.environ:
        return
    known = dict(reversed(line.split(None, 1)) for line in DIFFERENCES.read_text().splitlines())
    for item in items:
        if item.name in known:
            item.add_marker(pytest.mark.xfail(reason=f"Triton: {known[item.name]}", strict=True))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep which row failed, and by which status."""
    if report.failed and report.when == "call":
        words = getattr(getattr(report.longrepr, "reprcrash", None), "message", "")
        status = re.match(r"AssertionError: (\d{3}|[A-Z_]+) ", words)
        _failed[report.nodeid.rpartition("::")[2]] = status[1] if status else "ends" if "Remote" in words else "other"


def pytest_sessionfinish() -> None:
    """Write what is known of Triton from now on, where that is asked for."""
    if TRITON and "TOOLKIT_UPDATE_GOLDEN" in os.environ:
        DIFFERENCES.write_text("".join(f"{status} {name}\n" for name, status in _failed.items()))


@pytest.fixture(scope="session")
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Our own server."""
    pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
    path: Path = request.getfixturevalue("model_path")
    folder = tmp_path_factory.mktemp("served")
    types, half = (write_types_model(folder, is_half=is_half) for is_half in (False, True))
    files = [f"digits={path}", f"digits={path}", f"types={types}", f"half={half}"]
    has_grpc = all(importlib.util.find_spec(name) for name in ("grpc_health", "grpc_reflection"))
    with serving(*files, *(["--grpc-port", "0"] if has_grpc else [])) as server:
        yield server


@pytest.fixture(scope="session")
def triton(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """Real Triton, with the product's own model."""
    with run_triton(Path(TRITON).resolve(), tmp_path_factory.mktemp("triton"), model_path) as server:
        yield server


@pytest.fixture(scope="session", params=MODELS)
def found(request: pytest.FixtureRequest) -> Wire:
    """The model that the rows are about, as it was when the suite began."""
    url = request.getfixturevalue("triton").url if TRITON else URL or request.getfixturevalue("own").url.rstrip("/")
    return Wire.find(url, request.param or _only_model(url))


@pytest.fixture
def wire(found: Wire, request: pytest.FixtureRequest) -> Wire:
    """The model that the rows are about."""
    if TRITON:
        request.getfixturevalue("triton").ensure()  # the row before may have ended it
    return found


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes a noticeable part of a second for each row."""
    return write_slow_model(tmp_path_factory.mktemp("slow"))


def _only_model(url: str) -> str:
    answer = ask(url, "POST", "/v2/repository/index", b"{}")
    names = [item["name"] for item in answer.document] if answer.status == 200 else []
    if len(names) != 1:
        pytest.exit(f"{url} serves {names or 'models that it does not list'}; name one: TOOLKIT_OIP_MODEL", 2)
    return str(names[0])
