"""The quickstart, twice: the second time reuses what is there and says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands_here import exit_code_of

from toolkit.cli.actions import quickstart
from toolkit.parity.config import ParityConfig
from toolkit.runtimes.timing.plan import MeasurePlan


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps on less: two epochs, a small matrix, a short benchmark."""
    import toolkit.bench.config as bench_config

    recipe = replace(quickstart.RECIPES["fast"], epochs=2)
    monkeypatch.setitem(quickstart.RECIPES, "fast", recipe)
    matrix = ParityConfig(threads=(0,), optimisations=("all",), sample=100, small_batches=(3,), small_count=10)
    monkeypatch.setattr(quickstart, "ParityConfig", lambda: matrix)
    plan = MeasurePlan(warmup_calls=1, warmup_s=0, min_calls=20, min_s=0, max_s=100)
    real = bench_config.BenchConfig
    monkeypatch.setattr(bench_config, "BenchConfig", lambda **changes: real(**{**changes, "plan": plan}))


@pytest.mark.slow
def test_quickstart_makes_everything_and_reuses_it(
    short: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of("quickstart", "--data", "mnist-mini", "--json") == 0
    first: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert first["passed"]
    assert not first["reused_run"]
    assert first["parity"]["passed"]
    assert first["predict"] == {"images": 20, "right": first["predict"]["right"]}
    assert first["predict"]["right"] >= 18
    assert all(Path(path).exists() for path in first["files"].values())
    assert exit_code_of("quickstart", "--data", "mnist-mini") == 0
    text = capsys.readouterr().out
    assert "reusing" in text
    assert "unchanged" in text
    assert "95 % interval" in text
    assert len(list((tmp_path / "artifacts" / "runs").iterdir())) == 1
