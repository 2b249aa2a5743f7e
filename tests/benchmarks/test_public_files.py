"""Files out of public packages run at the first try; needs the network, or what it brought before."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from toolkit.artifacts import cache_folder
from toolkit.bench.config import BenchConfig
from toolkit.bench.measuring.inputs import try_feeds
from toolkit.bench.measuring.probing import open_worker
from toolkit.onnx_file.source import ModelSource

ROOT = Path(__file__).resolve().parents[2]


def load_benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("public_files", ROOT / "benchmarks" / "public_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.network
@pytest.mark.slow
def test_inputs_are_found_for_every_public_file() -> None:
    folder = cache_folder() / "public-files"
    rows = list(load_benchmark().fetch_files(folder))
    assert len(rows) >= 40
    for row in rows:
        source = ModelSource.read(folder / f"{row['sha256']}.onnx")
        plan = try_feeds(BenchConfig(), source, opener=open_worker)
        assert plan is not None, row["file"]
        assert all(array.size for array in plan.make().values()), row["file"]
