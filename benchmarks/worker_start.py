"""What a worker adds to an engine: its start to an opened model, less the engine's own loading and its bare import.

    python benchmarks/worker_start.py MODEL.onnx [--rounds 7] [--runtime ort,tract]

JSON on standard output: medians in milliseconds of every engine that is here, interleaved in rounds. What is counted is
spawning, the worker's own imports, sending the file and parsing it with `onnx`.
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SCHEMA = "toolkit/worker-start/1"
LIMIT_MS = 500


def main() -> None:
    """Measure and print the report."""
    options = _parse_options()
    imports = _bare_imports(options.runtime.split(",") if options.runtime else None)
    times = _measure(options.model, imports, options.rounds)
    sys.stdout.write(json.dumps(_report(times, options.rounds), indent=2) + "\n")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the worker adds to the start of each engine that is here.")
    parser.add_argument("model", type=Path, help="an .onnx file of ours; with its run among the results for torch")
    parser.add_argument("--rounds", type=int, default=7, help="times of each that count; one more warms up")
    parser.add_argument("--runtime", help="registry names, comma-separated; all that are here by default")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _bare_imports(chosen: list[str] | None) -> dict[str, list[str]]:
    """Return for each engine the command that imports it in its own interpreter, without anything of ours."""
    from toolkit.runtimes.installed import list_runtimes, private_python

    rows = [row for row in list_runtimes() if row.installed and not row.is_reference]
    return {
        row.runtime: [
            private_python(row.runtime) or sys.executable,
            "-P",
            "-c",
            f"import os{f', {row.package}' if row.package else ''}; os._exit(0)",  # taking it apart is no start
        ]
        for row in rows
        if chosen is None or row.runtime in chosen
    }


def _measure(model: Path, imports: dict[str, list[str]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Time a worker and a bare import of every engine once in each round, so that a busy minute meets them all."""
    source = _find_source(model)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in imports}
    for number in range(rounds + 1):
        for name, command in imports.items():
            worker_ms = _time_worker(source, name)
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            bare_ms = (time.perf_counter() - start) * 1e3
            if number:  # the first round fills the file cache and compiles the modules
                times[name].append((worker_ms, bare_ms))
    return times


def _find_source(model: Path) -> Any:
    from toolkit.artifacts import ArtifactStore
    from toolkit.card import Card, card_beside
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runs.origin import find_origin

    card = Card.loads(card_beside(model).read_bytes())
    run = find_origin(card.checkpoint_sha256, store=ArtifactStore.default())
    if run is None:
        sys.exit(f"the run of {model} is not among the results, and torch executes it; see TOOLKIT_ARTIFACTS")
    return ModelSource.read(model, run=run)


def _time_worker(source: Any, name: str) -> float:
    """Return milliseconds from nothing to an opened model, less what the engine itself took to open it."""
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.workers.client import WorkerRuntime

    start = time.perf_counter()
    with WorkerRuntime(source, RuntimeSettings(runtime=name), timeout_s=300) as worker:
        elapsed_ms = (time.perf_counter() - start) * 1e3
        return elapsed_ms - worker.cold_ms["load_ms"]


def _report(times: dict[str, list[tuple[float, float]]], rounds: int) -> dict[str, Any]:
    from toolkit.environment import describe_environment

    rows = []
    for name, pairs in times.items():
        added = [worker - bare for worker, bare in pairs]
        rows.append(
            {
                "runtime": name,
                "samples": len(pairs),
                "worker_median_ms": round(statistics.median(worker for worker, _ in pairs), 1),
                "bare_import_median_ms": round(statistics.median(bare for _, bare in pairs), 1),
                "added_median_ms": round(statistics.median(added), 1),
                "added_min_ms": round(min(added), 1),
                "added_max_ms": round(max(added), 1),
                "limit_ms": LIMIT_MS,
                "within_limit": statistics.median(added) < LIMIT_MS,
            }
        )
    return {"schema": SCHEMA, "rounds": rounds, "environment": describe_environment(), "rows": rows}


if __name__ == "__main__":
    main()
