"""Which server the suite is held against: the one at `TOOLKIT_OIP_URL`, or a double in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from oip.wire import Wire, ask

URL = os.environ.get("TOOLKIT_OIP_URL", "")
MODEL = os.environ.get("TOOLKIT_OIP_MODEL", "")


@pytest.fixture(scope="session")
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """The model that the rows are about."""
    if URL:
        yield Wire.find(URL, MODEL or _only_model(URL))
        return
    from oip.double import open_double
    from oip.onnx_model import load_onnx

    path: Path = request.getfixturevalue("model_path")
    with open_double(load_onnx(path)) as double:
        yield Wire.find(double.url, path.stem)


def _only_model(url: str) -> str:
    answer = ask(url, "POST", "/v2/repository/index", b"{}")
    names = [item["name"] for item in answer.document] if answer.status == 200 else []
    if len(names) != 1:
        pytest.exit(f"{url} serves {names or 'models that it does not list'}; name one: TOOLKIT_OIP_MODEL", 2)
    return str(names[0])
