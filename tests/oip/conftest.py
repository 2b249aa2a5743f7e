"""Which server the suite is held against: the one at `TOOLKIT_OIP_URL`, or our own, started for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from oip.own_models import write_slow_model, write_types_model
from oip.wire import Wire, ask
from served import Served, serving

URL = os.environ.get("TOOLKIT_OIP_URL", "").rstrip("/")
# Of ours: the product's own model in two versions, and one with an input of each datatype.
MODELS = os.environ.get("TOOLKIT_OIP_MODEL", "" if URL else "digits,types").split(",")


@pytest.fixture(scope="session")
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Our own server."""
    pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
    if URL:
        pytest.skip("the row needs a server of its own")
    path: Path = request.getfixturevalue("model_path")
    folder = tmp_path_factory.mktemp("served")
    types, half = (write_types_model(folder, is_half=is_half) for is_half in (False, True))
    with serving(f"digits={path}", f"digits={path}", f"types={types}", f"half={half}") as server:
        yield server


@pytest.fixture(scope="session", params=MODELS)
def wire(request: pytest.FixtureRequest) -> Wire:
    """The model that the rows are about."""
    if not URL:
        return Wire.find(request.getfixturevalue("own").url.rstrip("/"), request.param)
    return Wire.find(URL, request.param or _only_model(URL))


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
