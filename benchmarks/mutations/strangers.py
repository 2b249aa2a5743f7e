"""The second list: an engine that computes a stranger's file with a fault, judged by the file's own reference."""

from __future__ import annotations

__all__ = ["judge_strangers", "print_strangers"]

import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from mutations.graph import Graph
from mutations.stranger_faults import STRANGER_FAULTS
from mutations.stranger_rewrites import REWRITES
from toolkit.durable import write_json
from toolkit.environment import describe_environment
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import record_feeds
from toolkit.parity.config import ParityConfig
from toolkit.parity.matrix import judge_matrix
from toolkit.parity.recording import Recording
from toolkit.parity.subject import Subject, require_providers
from toolkit.runtimes.feed_config import FeedConfig

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "toolkit/benchmark-mutation-strangers/1"
CONFIG = ParityConfig(runtimes=("ort",), threads=(1,), optimisations=("all", "none"))
# Of the largest number of an output: twenty times float32's own rounding and more.
DIFFERS = 1e-5
# Files that no list of rewrites needs twice.
REWRITTEN = 20


def judge_strangers(output: Path) -> dict[str, Any]:
    """Judge every fault and every rewrite, write the results and return them."""
    rows = []
    for number, (stranger, what, change) in enumerate(STRANGER_FAULTS, start=1):
        model = _build(stranger)
        change(Graph(model, donor=model))
        row = {"stranger": stranger, "kind": "fault", "what": what, "difference": _prove(stranger, model, what)}
        rows.append({**row, **_judge(stranger, model)})
        print(f"{number} of {len(STRANGER_FAULTS)}: {stranger}: {what}: {rows[-1]['status']}", flush=True)
    for rewrite in REWRITES:
        for stranger in _kinds()[:REWRITTEN]:
            row = {"stranger": stranger, "kind": "rewrite", "what": rewrite.__name__.replace("_", " ")}
            rows.append({**row, **_judge(stranger, rewrite(_build(stranger)))})
            print(f"{rewrite.__name__}: {stranger}: {rows[-1]['status']}", flush=True)
    results = {
        "schema": SCHEMA,
        "command": " ".join(sys.argv),
        "environment": describe_environment(),
        "references": {name: _reference(name)[1].reference.kind for name in _kinds()},
        "rows": rows,
    }
    write_json(output, results)
    return results


def print_strangers(results: dict[str, Any]) -> None:
    """Print who was caught, as rows of Markdown."""
    faults, rewrites = ([row for row in results["rows"] if row["kind"] == kind] for kind in ("fault", "rewrite"))
    alarms = [row for row in rewrites if row["status"] != "pass"]
    counts = Counter(row["status"] for row in faults)
    print(f"\n| of {len(faults)} faults: fail | undecided | pass | not passed of {len(rewrites)} rewrites |")
    print("|---|---|---|---|")
    wrong = counts["fail"] + counts["refused"]
    print(f"| {wrong} ({wrong / len(faults):.1%}) | {counts['undecided']} | {counts['pass']} | {len(alarms)} |")
    for row in (*(row for row in faults if row["status"] in {"undecided", "pass"}), *alarms):
        print(f"\n{row['kind']}, {row['stranger']}: {row['what']}: {row['status']}: {row['reason']}")
    print(f"\nreferences: {dict(Counter(results['references'].values()))}")


@cache
def _builders() -> dict[str, Callable[[], onnx.ModelProto]]:
    sys.path.insert(0, str(ROOT / "tests"))
    from stranger_zoo import ZOO
    from strangers import STRANGERS

    return {**ZOO, **STRANGERS}


def _kinds() -> list[str]:
    return list(dict.fromkeys([*_builders()][:REWRITTEN] + [fault.stranger for fault in STRANGER_FAULTS]))


def _build(stranger: str) -> onnx.ModelProto:
    return _builders()[stranger]()


def _source(model: onnx.ModelProto, stranger: str) -> ModelSource:
    return ModelSource.in_memory(model.SerializeToString(), Path(f"{stranger}.onnx"))


@cache
def _reference(stranger: str) -> tuple[Subject, Recording]:
    source = _source(_build(stranger), stranger)
    feeds = FeedConfig(shapes={"ids": (2, 7)} if stranger == "token ids" else {})
    subject = require_providers(source, CONFIG, feeds=feeds)
    return subject, record_feeds(source, subject, feeds=feeds)


def _judge(stranger: str, model: onnx.ModelProto) -> dict[str, Any]:
    """Let ONNX Runtime run the changed file, and hold its answers against the unchanged file's reference."""
    subject, recording = _reference(stranger)
    report = judge_matrix(_source(model, stranger), recording, config=CONFIG, precision=subject.precision)
    first = next((row for row in report.rows if row.status != "pass"), report.rows[0])
    return {"status": first.status, "reason": first.reason}


def _prove(stranger: str, model: onnx.ModelProto, what: str) -> float:
    """Return by how much of its largest number an output differs.

    Raises:
        RuntimeError: the fault is none.
    """
    sets = _reference(stranger)[1].reference.suites
    largest = 0.0
    for entry in sets:
        right, wrong = (_run(item, entry.feeds) for item in (_build(stranger), model))  # type: ignore[union-attr]
        for name, array in right.items():
            if array.shape != wrong[name].shape:
                return float("inf")
            scale = float(np.abs(array.astype(np.float64)).max(initial=0.0)) or 1.0
            apart = np.abs(array.astype(np.float64) - wrong[name].astype(np.float64)).max(initial=0.0)
            largest = max(largest, float(apart) / scale)
    if largest < DIFFERS:
        raise RuntimeError(f"{stranger}: {what} is no fault: outputs differ by {largest:.2g}")
    return largest


def _run(model: onnx.ModelProto, feeds: Any) -> dict[str, Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))
