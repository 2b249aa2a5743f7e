"""Other tools' default checks on the same files, each in an interpreter that has them.

Polygraphy: the reference answers are the run's own in PyTorch float32, on the inputs that Polygraphy's default loader
makes; each file is then judged by `polygraphy run --onnxrt --load-inputs --load-outputs`, all tolerances as they come,
and by `polygraphy check lint`. optimum: its exporter's `validate_model_outputs`, as `optimum_check.py` says.
"""

from __future__ import annotations

__all__ = ["ask_peers", "describe_peers"]

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
READ_INPUTS = """
import sys, numpy
from polygraphy.json import load_json
(feeds,) = load_json(sys.argv[1])
numpy.savez(sys.argv[2], **feeds)
"""
SAVE_ANSWERS = """
import sys, numpy
from polygraphy.comparator import IterationResult, RunResults
results = RunResults()
results.add([IterationResult(dict(numpy.load(sys.argv[1])))], runner_name="torch")
results.save(sys.argv[2])
"""
PACKAGES = ("polygraphy", "onnx-graphsurgeon", "optimum", "optimum-onnx", "onnxruntime", "torch", "onnx")


def describe_peers(python: Path) -> dict[str, str]:
    """Return the versions of the tools."""
    program = "import json, sys; from importlib.metadata import version as v; "
    program += "print(json.dumps({n: v(n) for n in sys.argv[1:]}))"
    done = subprocess.run([python, "-c", program, *PACKAGES], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


MARKS = ("[E]", "FAILED", "[ONNXRuntimeError]")


def ask_peers(
    python: Path, mutants: dict[str, Path], *, model: Path, run: Path, folder: Path
) -> dict[str, dict[str, Any]]:
    """Return every tool's verdict on every file: `caught` and the reason."""
    inputs, answers = folder / "polygraphy-inputs.json", folder / "polygraphy-answers.json"
    polygraphy = [str(python.parent / "polygraphy")]
    _require([*polygraphy, "run", str(model), "--onnxrt", "--save-inputs", str(inputs)])
    _save_answers(python, inputs, answers, model=model, run=run)
    given = ["--load-inputs", str(inputs), "--load-outputs", str(answers)]
    optimum = _ask_optimum(python, mutants, run=run)
    verdicts = {}
    for name, path in mutants.items():
        verdicts[name] = {
            "polygraphy": _judge([*polygraphy, "run", str(path), "--onnxrt", *given]),
            "polygraphy_lint": _judge([*polygraphy, "check", "lint", str(path)]),
            "optimum": optimum[name],
        }
        print(f"peers: {name}: {', '.join(key for key, item in verdicts[name].items() if item['caught'])}", flush=True)
    return verdicts


def _judge(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    # A tool also sees a fault when its engine refuses the file: then the engine's own words are the last.
    lines = [line for line in output.splitlines() if any(mark in line for mark in MARKS)]
    if done.returncode and (not lines or "could not be imported" in output):
        raise RuntimeError(f"{command} left with {done.returncode}: {output[-2000:]}")
    return {
        "caught": bool(done.returncode),
        "code": done.returncode,
        "reason": lines[-1][:200] if done.returncode else "",
    }


def _require(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _save_answers(python: Path, inputs: Path, answers: Path, *, model: Path, run: Path) -> None:
    """Write PyTorch's answers to the default loader's inputs in Polygraphy's format."""
    from toolkit.onnx_file.source import ModelSource
    from toolkit.runtimes.base import RuntimeSettings
    from toolkit.runtimes.registry import open_runtime

    arrays = inputs.with_suffix(".npz")
    _require([str(python), "-c", READ_INPUTS, str(inputs), str(arrays)])
    with open_runtime(ModelSource.read(model, run=run), RuntimeSettings(runtime="torch")) as engine:
        np.savez(arrays, **engine.run(dict(np.load(arrays))))
    _require([str(python), "-c", SAVE_ANSWERS, str(arrays), str(answers)])


def _ask_optimum(python: Path, mutants: dict[str, Path], *, run: Path) -> dict[str, dict[str, Any]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [str(python), str(HERE / "optimum_check.py"), str(run), *map(str, mutants.values())]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    return {name: found[str(path)] for name, path in mutants.items()}
