"""`toolkit runtimes list`."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from toolkit.cli.app import app
from toolkit.runtimes import registry
from toolkit.runtimes.installed import list_runtimes
from toolkit.runtimes.registry import ENGINES, RUNTIMES, RuntimeEntry


def test_every_runtime_has_a_row_with_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    app(args=["runtimes", "list", "--json"], standalone_mode=False)
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "toolkit/runtimes/1"
    rows = {row["runtime"]: row for row in report["rows"]}
    assert list(rows) == list(RUNTIMES)
    assert rows["torch"]["installed"]
    assert rows["torch"]["distribution"] == "torch"
    assert rows["torch"]["executes"] == "run"
    assert rows["ort"]["executes"] == "file"
    assert rows["ort"]["distribution"].startswith("onnxruntime")
    assert rows["oip-http"]["executes"] == "server"
    here = [name for name, row in rows.items() if not row["is_reference"] and row["executes"] != "server"]
    assert here == list(ENGINES)


def test_an_engine_that_is_not_here_names_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = RuntimeEntry("nothing", "Nothing", "no_such_engine.inside", "pip install 'x[y]'")
    monkeypatch.setitem(registry.RUNTIMES, "absent", entry)
    row = next(row for row in list_runtimes() if row.runtime == "absent")
    assert (row.installed, row.distribution, row.version) == (False, None, None)
    app(args=["runtimes", "list"], standalone_mode=False)
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("absent"))
    assert "not installed" in line
    assert "pip install 'x[y]'" in line


def test_a_package_that_nothing_brought_is_installed_in_an_unknown_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "packages_distributions", dict)
    row = next(row for row in list_runtimes() if row.runtime == "onnx")
    assert (row.installed, row.distribution, row.version) == (True, None, None)
