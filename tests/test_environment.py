"""What a report records about the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from toolkit import environment
from toolkit.environment import describe_environment, parse_cpuinfo

CPUINFO = """processor\t: 0
model name\t: Some CPU
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse4_2 avx2 avx512_bf16 amx_bf16 rdrand

processor\t: 1
model name\t: Some CPU
physical id\t: 0
core id\t\t: 0
flags\t\t: fpu sse4_2 avx2

processor\t: 2
model name\t: Some CPU
physical id\t: 0
core id\t\t: 1
flags\t\t: fpu sse4_2 avx2
"""


def test_environment_is_clean_json_with_every_key_on_this_machine() -> None:
    described = describe_environment()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert set(described) == {"python", "platform", "packages", "cpu", "memory", "load_average", "threads", "gpus"}
    assert described["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert described["cpu"]["logical_cores"] >= 1
    assert described["packages"]["numpy"]


def test_environment_imports_no_package_that_it_describes() -> None:
    code = (
        "import sys; from toolkit.environment import describe_environment; describe_environment();"
        "print(*sorted({'numpy', 'torch', 'onnx', 'onnxruntime', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_absent_package_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("no-such-package-anywhere",))
    assert describe_environment()["packages"] == {"no-such-package-anywhere": None}


def test_cpuinfo_counts_cores_behind_the_usable_processors_only() -> None:
    assert parse_cpuinfo(CPUINFO, usable={0, 1, 2}).physical_cores == 2
    assert parse_cpuinfo(CPUINFO, usable={0, 1}).physical_cores == 1


def test_cpuinfo_names_the_model_and_the_sets_that_matter() -> None:
    info = parse_cpuinfo(CPUINFO, usable={0})
    assert info.model == "Some CPU"
    assert info.instruction_sets == ["amx_bf16", "avx2", "avx512_bf16", "sse4_2"]


def test_cpuinfo_of_an_arm_machine_is_read_and_what_it_lacks_is_null() -> None:
    info = parse_cpuinfo("processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\n\nprocessor\t: 1\n", usable={0, 1})
    assert info == (None, ["asimd", "bf16", "i8mm", "sve"], None)


def test_machine_without_cpuinfo_gives_nulls() -> None:
    assert parse_cpuinfo("", usable={0}) == (None, None, None)


@pytest.mark.parametrize(("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None)])
def test_container_quota_is_told_in_cores(text: str, cores: float | None) -> None:
    assert environment._quota_cores(text) == cores


def test_gpu_is_described_by_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["NVIDIA H100 80GB HBM3, 580.65.06, 9.0, 81559", "NVIDIA GeForce GTX 1060, 580.65.06, [N/A], [N/A]"]
    monkeypatch.setattr(environment, "_run_tool", lambda command: lines if command[0] == "nvidia-smi" else [])
    assert describe_environment()["gpus"] == [
        {"name": "NVIDIA H100 80GB HBM3", "driver": "580.65.06", "compute_capability": "9.0", "memory_mib": 81559},
        {"name": "NVIDIA GeForce GTX 1060", "driver": "580.65.06", "compute_capability": None, "memory_mib": None},
    ]


def test_gpu_is_described_by_the_driver_where_the_tool_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 580.65\nGCC",
        "gpu0": "Model: \t NVIDIA T4\n",
    }
    monkeypatch.setattr(environment, "_run_tool", lambda _: [])
    monkeypatch.setattr(environment, "_read_text", lambda path: files.get(str(path), ""))
    monkeypatch.setattr(environment, "_gpu_files", lambda: ["gpu0"])
    (gpu,) = describe_environment()["gpus"]
    assert gpu["name"] == "NVIDIA T4"
    assert gpu["driver"] == "NVRM version: NVIDIA UNIX x86_64 580.65"


def test_machine_without_a_gpu_says_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_run_tool", lambda _: [])
    monkeypatch.setattr(environment, "_read_text", lambda _: "")
    described = describe_environment()
    assert described["gpus"] is None
    assert described["memory"]["available_bytes"] is None
    assert described["memory"]["total_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_tool_that_hangs_or_fails_gives_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "TOOL_TIMEOUT_S", 0.2)
    assert environment._run_tool(["sleep", "5"]) == []
    assert environment._run_tool(["false"]) == []
    assert environment._run_tool(["no-such-tool-anywhere"]) == []
    assert environment._run_tool(["echo", "one"]) == ["one"]
