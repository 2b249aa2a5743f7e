"""WebGPU through ONNX Runtime: right answers, nodes that stay on the CPU, outputs in a device's memory, strictness."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.data.load import load_mini
from toolkit.doctor.checks import run_doctor
from toolkit.errors import ProviderError
from toolkit.onnx_file.source import ModelSource
from toolkit.parity.check import check_parity
from toolkit.parity.config import ParityConfig
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.installed import is_installed, private_python
from toolkit.runtimes.webgpu_adapter import find_adapter
from toolkit.runtimes.workers.client import WorkerRuntime

IMAGES = load_mini().test.images
WEBGPU = RuntimeSettings(provider="webgpu")
RUNTIMES = ["ort-webgpu", pytest.param("ort-node", marks=pytest.mark.slow)]
# What ran where, by ONNX Runtime's profile; and whether it takes options that it does not know.
PROFILE = """
import json, sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.enable_profiling, options.log_severity_level = True, 4
options.add_session_config_entry("ep.webgpuexecutionprovider.nonsense", "1")
providers = [("WebGpuExecutionProvider", {"nonsense": "1"})]
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=providers)
session.run(None, {"images": numpy.zeros((1, 28, 28), numpy.uint8)})
events = json.load(open(session.end_profiling()))
print(json.dumps([[event["args"]["op_name"], event["args"]["provider"]] for event in events if "provider" in event.get("args", {})]))
"""


@pytest.fixture(scope="module")
def source(model_path: Path) -> ModelSource:
    return ModelSource.read(model_path)


@pytest.fixture(scope="module")
def on_cpu(source: ModelSource) -> dict[str, Any]:
    with WorkerRuntime(source, RuntimeSettings()) as runtime:
        return runtime.run({"images": IMAGES[:16]})


@pytest.fixture(scope="module")
def opened(source: ModelSource) -> Iterator[WorkerRuntime]:
    with WorkerRuntime(source, WEBGPU) as runtime:
        yield runtime


def _same(answers: dict[str, Any], expected: dict[str, Any]) -> bool:
    near = np.allclose(answers["logits"], expected["logits"], rtol=0, atol=1e-4)
    return near and np.array_equal(answers["label"], expected["label"])


def _toolkit(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toolkit", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_answers_lie_within_the_bound_of_parity(source: ModelSource, little_noise: int, runtime: str) -> None:
    if not is_installed(runtime):
        pytest.skip(f"{runtime} is not installed in {os.environ['TOOLKIT_RUNTIMES']}")
    config = ParityConfig(runtimes=(runtime,), providers=("webgpu",), sample=32, small_batches=(1, 3), small_count=4)
    (row,) = check_parity(source, config).rows
    assert (row.status, row.provider, row.fallback) == ("pass", "webgpu", False), row.reason
    assert row.max_abs_logit_error is not None
    assert row.bound is not None
    assert 0 < row.max_abs_logit_error < row.bound
    assert row.device == find_adapter()


def test_device_is_named_and_a_software_one_is_marked(opened: WorkerRuntime) -> None:
    device = opened.info.device
    assert device["adapter"]
    assert device["driver"]
    assert device["software"] is ("swiftshader" in device["adapter"].lower() or "llvmpipe" in device["adapter"].lower())


def test_pixels_are_converted_on_the_cpu_and_all_else_runs_on_the_device(
    opened: WorkerRuntime, model_path: Path, tmp_path: Path
) -> None:
    assert opened.info.placement == {"webgpu": 15, "cpu": 1}
    assert [words.split()[0] for words in opened.info.details["elsewhere"]] == ["Cast"]
    python = private_python("ort-webgpu")
    assert python is not None
    told = subprocess.run([python, "-c", PROFILE, model_path], capture_output=True, text=True, check=True, cwd=tmp_path)
    ran = json.loads(told.stdout)
    assert [name for name, provider in ran if provider == "CPUExecutionProvider"] == ["Cast"]
    added = {"MemcpyFromHost", "MemcpyToHost", "Transpose"}  # by ONNX Runtime, for the copies and its own layout
    there = [name for name, provider in ran if provider == "WebGpuExecutionProvider" and name not in added]
    assert len(there) == opened.info.placement["webgpu"]


def test_a_node_on_the_cpu_is_refused_where_all_are_wanted(source: ModelSource) -> None:
    settings = RuntimeSettings(provider="webgpu", require_all_nodes=True)
    words = "only 15 of 16 nodes run there; elsewhere: Cast"
    with pytest.raises(ProviderError, match=words), WorkerRuntime(source, settings):
        pass


def test_outputs_in_the_memory_of_the_device_hold_the_answers_of_every_call(
    source: ModelSource, on_cpu: dict[str, Any]
) -> None:
    with WorkerRuntime(source, RuntimeSettings(provider="webgpu", io_binding=True)) as runtime:
        assert runtime.info.details["io_binding"] == "webgpu"
        for start, count in ((0, 4), (4, 4), (8, 3), (11, 4)):  # buffers of one shape are used again
            expected = {name: values[start : start + count] for name, values in on_cpu.items()}
            assert _same(runtime.run({"images": IMAGES[start : start + count]}), expected)


@pytest.mark.slow
def test_bench_tells_copies_apart_and_marks_what_is_no_gpu(model_path: Path) -> None:
    words = ("bench", model_path, "--provider", "webgpu", "--batch", "2", "--json")
    done = _toolkit(*words)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["runtime"], row["provider_active"], row["io_binding"]) == ("ort-webgpu", "webgpu", True)
    assert row["device"] == find_adapter()
    phases = row["phases_ms"]
    # The call returns before anything is computed: what waits for it is no copy.
    assert phases["compute"] > phases["copy_out"] > 0
    assert ("webgpu (software)" in done.stderr) is row["device"]["software"]


@pytest.mark.slow
def test_predict_answers_as_on_the_cpu_and_says_on_what(model_path: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES[:16])
    answers = []
    for provider in ("cpu", "webgpu"):
        output = tmp_path / f"{provider}.jsonl"
        words = ("--provider", provider, "--output", output, "--batch", "8")
        done = _toolkit("predict", model_path, tmp_path / "images.npy", *words)
        assert done.returncode == 0, done.stderr
        answers.append([json.loads(line)["label"] for line in output.read_text().splitlines()])
    assert answers[0] == answers[1]
    device = find_adapter()
    assert f"webgpu computes on {device['adapter']}" in done.stderr
    assert ("a software device" in done.stderr) is device["software"]
    assert "not on webgpu: Cast" in done.stderr


@pytest.mark.slow
def test_doctor_runs_a_convolution_there() -> None:
    row = run_doctor(engines=("ort",)).find("webgpu")
    assert (row.status, row.runs) == ("pass", True), row.reason
    assert row.placement == {"webgpu": 3, "cpu": 1}
    assert row.device == find_adapter()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the device is the system's own")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_hidden_driver_is_an_error_with_the_step(model_path: Path, tmp_path: Path, runtime: str) -> None:
    if not is_installed(runtime):
        pytest.skip(f"{runtime} is not installed in {os.environ['TOOLKIT_RUNTIMES']}")
    hidden = {"VK_ICD_FILENAMES": str(tmp_path / "none.json"), "VK_DRIVER_FILES": str(tmp_path / "none.json")}
    np.save(tmp_path / "images.npy", IMAGES[:2])
    words = ("predict", model_path, tmp_path / "images.npy", "--runtime", runtime, "--provider", "webgpu")
    done = _toolkit(*words, **hidden)
    assert done.returncode == 5
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: provider webgpu is not active: ")
    assert "No supported adapters; get it with: apt-get install libvulkan1" in last
    if runtime == "ort-webgpu":
        done = _toolkit(*words, "--allow-fallback", **hidden)
        assert done.returncode == 0
        assert "FALLBACK: webgpu was asked for" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--device-option", "preferredLayout=NCHW"], ["--boundary", "device"], ["--tf32"]])
def test_what_it_would_pass_over_in_silence_is_refused(model_path: Path, words: list[str]) -> None:
    done = _toolkit("bench", model_path, "--provider", "webgpu", "--batch", "1", *words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) <= 2
    assert done.stdout == ""
