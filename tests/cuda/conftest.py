"""CUDA's tests: run where a device works, skipped with the reason elsewhere; a JSON summary for `make test-cuda`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPORT_VARIABLE = "TOOLKIT_CUDA_REPORT"
SCHEMA = "toolkit/cuda-tests/1"

_results: list[dict[str, Any]] = []
_problem: list[str | None] = []


def cuda_problem() -> str | None:
    """Return None where ONNX Runtime's CUDA provider runs a convolution in a worker, else why not; asked once."""
    if not _problem:
        _problem.append(_probe_cuda())
    return _problem[0]


def _probe_cuda() -> str | None:
    from toolkit.doctor.convolution import INPUT, OUTPUT, build_model, check_answer, make_images
    from toolkit.durable import sha256_bytes
    from toolkit.errors import ToolkitError
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.workers.client import WorkerRuntime

    model = build_model()
    source = ModelSource(model=model, sha256=sha256_bytes(model), path=Path("convolution.onnx"))
    try:
        with WorkerRuntime(source, RuntimeSettings(provider="cuda")) as runtime:
            return check_answer(runtime.run({INPUT: make_images()})[OUTPUT])
    except ToolkitError as error:
        return str(error)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and skip it where no CUDA device works."""
    mine = [item for item in items if HERE in item.path.parents]
    if not mine:
        return
    problem = cuda_problem()
    for item in mine:
        item.add_marker(pytest.mark.cuda)
        if problem is not None:
            item.add_marker(pytest.mark.skip(reason=problem))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what is decisive of each test of this folder: its call, or what kept it from being called."""
    if "cuda/" in report.nodeid.replace(os.sep, "/") and (report.when == "call" or report.outcome != "passed"):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        _results.append(
            {
                "test": report.nodeid,
                "outcome": report.outcome,
                "duration_s": round(report.duration, 3),
                "reason": text[-2000:],
                "properties": dict(report.user_properties),
            }
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the summary to the path in `TOOLKIT_CUDA_REPORT`, where it is set."""
    target = os.environ.get(REPORT_VARIABLE)
    if not target or "PYTEST_XDIST_WORKER" in os.environ:  # of parallel processes, the controller sees all results
        return
    from toolkit.durable import write_json
    from toolkit.environment import describe_environment

    counts = {name: sum(result["outcome"] == name for result in _results) for name in ("passed", "failed", "skipped")}
    write_json(
        Path(target),
        {
            "schema": SCHEMA,
            "environment": describe_environment(),
            "cuda_problem": cuda_problem(),
            **counts,
            # A run in which everything was skipped has shown nothing.
            "passed_all": counts["failed"] == 0 and counts["passed"] > 0,
            "results": _results,
        },
    )
