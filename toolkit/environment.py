"""What a report records about the machine; standard library only, so that every command can afford it."""

from __future__ import annotations

__all__ = [
    "THREAD_VARIABLES",
    "available_memory_bytes",
    "claim_process",
    "describe_cpu",
    "describe_environment",
    "is_own_process",
    "parse_cpuinfo",
    "sleeping_environment",
    "usable_cores",
]

import contextlib
import math
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = (
    "onnx-parity-toolkit",
    "torch",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-ep-openvino",
    "numpy",
    "pillow",
    "safetensors",
)
# What decides which kernels a runtime picks, on x86-64 and on Arm.
INSTRUCTION_SETS = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx512", "avx_vnni", "amx", "asimd", "sve", "bf16", "i8mm")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")
TOOL_TIMEOUT_S = 15
# A container's share of the machine: microseconds of work that are allowed in a period, and the period (cgroup v2).
QUOTA = Path("/sys/fs/cgroup/cpu.max")


class CpuInfo(NamedTuple):
    """What `/proc/cpuinfo` tells.

    Attributes:
        model: name of the processor, None where it is not told.
        instruction_sets: those of `INSTRUCTION_SETS` that it has, sorted; None where they are not told.
        physical_cores: cores behind the processors asked about; None where they are not told.
    """

    model: str | None
    instruction_sets: list[str] | None
    physical_cores: int | None


class _Process:
    is_own = False


def claim_process() -> None:
    """Say that this process is a command's or a worker's, before it imports an engine; see `is_own_process`.

    ONNX Runtime reports nothing from it, unless the environment has a word on that: from 1.29 on it would send names of
    model files and hashes of their graphs and weights to its makers, by way of a database that is synced at the end.
    """
    _Process.is_own = True
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def is_own_process() -> bool:
    """Tell whether this process is ours; else it is a program's that embeds the library, whose state stays its own."""
    return _Process.is_own


def sleeping_environment() -> Path | None:
    """Return the virtual environment that this process runs in where the shell does not find its commands, else None.

    It is relative where it lies below the working folder.
    """
    folder = Path(sys.prefix)
    commands = folder / "bin"
    if sys.prefix == sys.base_prefix or not (commands / "activate").is_file():
        return None
    if str(commands) in os.environ.get("PATH", "").split(os.pathsep):
        return None
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def usable_cores(quota: Path = QUOTA) -> int:
    """Return how many cores this process may use at the same time: at least 1, a container's quota rounded up."""
    allowed = _quota_cores(_read_text(quota))
    cores = len(_usable_processors())
    return cores if allowed is None else max(1, min(cores, math.ceil(allowed)))


def describe_environment() -> dict[str, Any]:
    """Describe this machine and this process in plain JSON values; what cannot be known is None.

    Returns:
        `python`, `platform`, `packages` (name to version or None), `cpu` (model, instruction sets, core counts; the
        cores are those this process may use), `memory` (bytes), `load_average` (1, 5, 15 minutes), `threads`
        (variables that steer engines) and `gpus` (name, driver, compute capability, memory in MiB).
    """
    return {
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "platform": {"system": platform.system(), "release": platform.release(), "machine": platform.machine()},
        "packages": {name: _version(name) for name in PACKAGES},
        "cpu": describe_cpu(),
        "memory": _describe_memory(),
        "load_average": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "threads": {name: os.environ.get(name) for name in THREAD_VARIABLES},
        "gpus": _describe_gpus(),
    }


def describe_cpu() -> dict[str, Any]:
    """Return the processor's `model`, its `instruction_sets`, and its core counts, of those this process may use."""
    usable = _usable_processors()
    info = parse_cpuinfo(_read_text("/proc/cpuinfo"), usable=usable)
    model = info.model or _first_line(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.processor() or None
    return {
        "model": model,
        "instruction_sets": info.instruction_sets,
        "physical_cores": info.physical_cores,
        "logical_cores": len(usable),
        "quota_cores": _quota_cores(_read_text(QUOTA)),
    }


def available_memory_bytes() -> int | None:
    """Return the memory that could be used without swapping; None where the system does not tell."""
    return _read_memory().get("MemAvailable")


def parse_cpuinfo(text: str, *, usable: set[int]) -> CpuInfo:
    """Read the text of `/proc/cpuinfo`.

    Args:
        text: the file's text.
        usable: numbers of the processors that the process may use.
    """
    blocks = [_parse_block(block) for block in text.split("\n\n") if block.strip()]
    if not blocks:
        return CpuInfo(None, None, None)
    flags = blocks[0].get("flags") or blocks[0].get("Features")
    found = sorted(flag for flag in flags.split() if flag.startswith(INSTRUCTION_SETS)) if flags else None
    cores = {
        (block["physical id"], block["core id"])
        for block in blocks
        if "core id" in block and "physical id" in block and int(block["processor"]) in usable
    }
    return CpuInfo(blocks[0].get("model name"), found, len(cores) or None)


def _parse_block(block: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in block.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _version(name: str) -> str | None:
    from importlib import metadata  # a sixth of the time of --help

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _usable_processors() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _quota_cores(text: str) -> float | None:
    """Return the cores that a container's quota allows (cgroup v2's `cpu.max`), None where there is no quota."""
    fields = text.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    return round(int(fields[0]) / int(fields[1]), 2)


def _describe_memory() -> dict[str, int | None]:
    known = _read_memory()
    return {"total_bytes": known.get("MemTotal", _sysconf_memory()), "available_bytes": known.get("MemAvailable")}


def _read_memory() -> dict[str, int]:
    values = _parse_block(_read_text("/proc/meminfo"))
    return {key: int(value.split()[0]) * 1024 for key, value in values.items() if key in {"MemTotal", "MemAvailable"}}


def _sysconf_memory() -> int | None:
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _describe_gpus() -> list[dict[str, Any]] | None:
    fields = "name,driver_version,compute_cap,memory.total"
    lines = _run_tool(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"])
    gpus = [_parse_gpu(line) for line in lines if line.count(",") == fields.count(",")]
    if gpus:
        return gpus
    driver = _read_text("/proc/driver/nvidia/version").strip()
    if not driver:
        return None
    names = [_parse_block(_read_text(path)).get("Model") for path in _gpu_files()]
    unknown = {"compute_capability": None, "memory_mib": None}
    return [{"name": name, "driver": driver.splitlines()[0], **unknown} for name in names or [None]]


def _gpu_files() -> list[Path]:
    return sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))


def _parse_gpu(line: str) -> dict[str, Any]:
    name, driver, capability, memory = (part.strip() for part in line.split(","))
    return {
        "name": name,
        "driver": driver,
        "compute_capability": capability if capability.replace(".", "").isdigit() else None,
        "memory_mib": int(memory) if memory.isdigit() else None,
    }


def _first_line(command: list[str]) -> str | None:
    return next(iter(_run_tool(command)), None)


def _run_tool(command: list[str]) -> list[str]:
    """Return a tool's lines, none where it is not installed, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line for line in done.stdout.splitlines() if line.strip()]


def _read_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
