"""A benchmark without engines: a source, settings, an opener of fakes, a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fake_engine import FakeEngine, make_info
from tiny_models import build_model

from toolkit.bench.config import BenchConfig
from toolkit.bench.report import BenchReport, BenchRow
from toolkit.bench.sweep import prepare_bench
from toolkit.durable import sha256_bytes
from toolkit.onnx_file.source import ModelSource
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.timing.plan import MeasurePlan
from toolkit.runtimes.workers.client import Opener

QUICK = MeasurePlan(warmup_calls=1, warmup_s=0, min_calls=40, min_s=0, max_s=100)


def make_source(model: Any = None, *, run: Path | None = None) -> ModelSource:
    data = (model or build_model()).SerializeToString()
    return ModelSource(model=data, sha256=sha256_bytes(data), path=Path("tiny.onnx"), run=run)


def make_opener(behaviour: dict[tuple[str, str], Any]) -> Opener:
    """Open by (runtime, provider): an engine, an error to raise, or a function of the settings."""

    def open_engine(_: ModelSource, settings: RuntimeSettings, **__: Any) -> Any:
        found = behaviour.get((settings.runtime, settings.provider), FakeEngine(make_info(settings.provider)))
        found = found(settings) if callable(found) else found
        if isinstance(found, Exception):
            raise found
        return found

    return open_engine


def make_config(**changes: Any) -> BenchConfig:
    return BenchConfig(**{"plan": QUICK, "batches": (1,), **changes})


def make_row(batch: int, p50_ms: float, *, half_ms: float = 0.0, **changes: Any) -> BenchRow:
    fields: dict[str, Any] = {
        "runtime": "ort",
        "provider_requested": "cpu",
        "provider_active": "cpu",
        "precision": "fp32",
        "batch": batch,
        "threads": 0,
        "latency_ms": {"p50": p50_ms},
        "throughput_items_per_s": batch / p50_ms * 1e3,
        "ci95": {"p50": [p50_ms - half_ms, p50_ms + half_ms]},
    }
    return BenchRow(**{**fields, **changes})


def run_bench(config: BenchConfig, source: ModelSource, **how: Any) -> BenchReport:
    """Check, then measure, with the errors of the first."""
    return prepare_bench(config, source, **{"command": "", **how}).measure()
